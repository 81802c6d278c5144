# ROS 2 from PyPI wheels: the exported targets of the interface packages name the Python include directories of the
# container that built the wheels (/opt/python/...). They do not exist elsewhere, and CMake refuses to generate with them.
# This drops those that are missing; the local Python's are found by find_package(Python3) anyway. On an ordinary ROS 2
# installation nothing matches and nothing changes.

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

# Deferred to the end of the top-level CMakeLists.txt, when every imported target exists.
cmake_language(DEFER CALL _drop_missing_wheel_includes)
