from pkgutil import extend_path

# The generated hand_mesh_ros.msg lives in the installed prefix; this lets it meet these sources when both are on the path.
__path__ = extend_path(__path__, __name__)
