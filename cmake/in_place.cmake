# Development install into a virtual environment. CMake copies no file of the source tree, so an edit takes effect at once and no
# old copy can hide it. Python finds the tree through a .pth file, and share/ holds links.

install(FILES ${PROJECT_NAME}/__init__.py DESTINATION "${PYTHON_INSTALL_DIR}/${PROJECT_NAME}")
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/${PROJECT_NAME}_source_tree.pth" "${CMAKE_CURRENT_SOURCE_DIR}\n")
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/${PROJECT_NAME}_source_tree.pth" DESTINATION "${PYTHON_INSTALL_DIR}")
foreach(folder IN ITEMS config models)
  install(CODE "file(CREATE_LINK \"${CMAKE_CURRENT_SOURCE_DIR}/${folder}\"
    \"${CMAKE_INSTALL_PREFIX}/share/${PROJECT_NAME}/${folder}\" SYMBOLIC)")
endforeach()

# `ros2 launch` looks for files below share/ and does not follow links to folders. Earlier installs made the folder as a link.
# The install removes such a link first, because links in that folder would appear in the source tree.
set(launch_folder "${CMAKE_INSTALL_PREFIX}/share/${PROJECT_NAME}/launch")
install(CODE "if(IS_SYMLINK \"${launch_folder}\")
    file(REMOVE \"${launch_folder}\")
  endif()
  file(MAKE_DIRECTORY \"${launch_folder}\")")
file(GLOB launch_files CONFIGURE_DEPENDS RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}" launch/*.py)
foreach(file IN LISTS launch_files)
  install(CODE "file(CREATE_LINK \"${CMAKE_CURRENT_SOURCE_DIR}/${file}\"
    \"${CMAKE_INSTALL_PREFIX}/share/${PROJECT_NAME}/${file}\" SYMBOLIC)")
endforeach()
