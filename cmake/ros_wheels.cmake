# ROS 2 from PyPI wheels: the exported targets of the interface packages name the Python include directories of the
# container that built the wheels (/opt/python/...). These directories do not exist on other machines, and CMake then fails.
# This function removes the missing directories. find_package(Python3) finds the include directories of the local Python.
# On an ordinary ROS 2 installation no directory matches, and this function changes nothing.

function(_drop_missing_wheel_includes)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(includes ${target} INTERFACE_INCLUDE_DIRECTORIES)
    set(kept "")
    foreach(directory IN LISTS includes)
      if(NOT directory MATCHES "^/opt/python/" OR EXISTS "${directory}")
        list(APPEND kept "${directory}")
      endif()
    endforeach()
    if(includes AND NOT kept STREQUAL includes)
      set_property(TARGET ${target} PROPERTY INTERFACE_INCLUDE_DIRECTORIES "${kept}")
    endif()
  endforeach()
endfunction()

# The call runs at the end of the top-level CMakeLists.txt, when every imported target exists.
cmake_language(DEFER CALL _drop_missing_wheel_includes)
