# `ros2 run` and launch look for executables in lib/<package>. ament_cmake has no console scripts, so this file writes them.

# install_python_executable(<name> <module> [<folder>...]): lib/<project>/<name> calls main() of <module> with the Python of this
# build. The same file goes into each <folder>. A virtual environment that is active during the build gives its Python.
function(install_python_executable name module)
  get_executable_path(python Python3::Interpreter CONFIGURE)
  set(script "${CMAKE_CURRENT_BINARY_DIR}/scripts/${name}")
  configure_file("${CMAKE_CURRENT_SOURCE_DIR}/cmake/executable.py.in" "${script}" @ONLY)
  # A symlink install links to this file, so this file must be executable.
  file(CHMOD "${script}" PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  foreach(folder IN ITEMS lib/${PROJECT_NAME} ${ARGN})
    install(PROGRAMS "${script}" DESTINATION "${folder}")
  endforeach()
endfunction()
