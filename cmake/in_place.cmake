# Development install into a virtual environment: nothing of the source tree is copied, so an edit is live at once and no
# stale copy can win. Python finds the tree through a .pth file, and share/ holds links.

install(FILES ${PROJECT_NAME}/__init__.py DESTINATION "${PYTHON_INSTALL_DIR}/${PROJECT_NAME}")
file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/${PROJECT_NAME}_source_tree.pth" "${CMAKE_CURRENT_SOURCE_DIR}\n")
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/${PROJECT_NAME}_source_tree.pth" DESTINATION "${PYTHON_INSTALL_DIR}")
foreach(folder IN ITEMS launch config models)
  install(CODE "file(CREATE_LINK \"${CMAKE_CURRENT_SOURCE_DIR}/${folder}\"
    \"${CMAKE_INSTALL_PREFIX}/share/${PROJECT_NAME}/${folder}\" SYMBOLIC)")
endforeach()
