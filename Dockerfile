# The node on ROS 2 Jazzy, without root rights:
#   docker build --tag hand_mesh_ros .
#   docker run --rm --net host --ipc host hand_mesh_ros
#   docker run --rm --net host --ipc host hand_mesh_ros ros2 launch hand_mesh_ros perception.launch.py image:=/camera/color/image_raw
# --net host and --ipc host connect the node to the other nodes of the machine, images through shared memory included.
FROM ros:jazzy

ENV PIP_BREAK_SYSTEM_PACKAGES=1 PIP_NO_CACHE_DIR=1
WORKDIR /opt/hand_mesh
RUN apt-get update && apt-get install -y --no-install-recommends python3-pip && rm -rf /var/lib/apt/lists/*
# Packages first, so that a change of the sources does not install them again. cv_bridge needs numpy 1.
COPY package.xml src/hand_mesh_ros/
COPY requirements/viewer.txt /tmp/
RUN pip3 install "numpy<2" -r /tmp/viewer.txt && apt-get update && rosdep update \
  && rosdep install --from-paths src --ignore-src -y && rm -rf /var/lib/apt/lists/*
COPY . src/hand_mesh_ros
RUN . /opt/ros/jazzy/setup.sh && colcon build --cmake-args -DBUILD_TESTING=OFF && rm -rf build log src

# A user of the image ros:jazzy with number 1000, like the first user of most machines: shared memory of Fast DDS needs one user.
USER ubuntu
ENTRYPOINT ["/bin/bash", "-c", "source /opt/hand_mesh/install/setup.bash && exec \"$@\"", "bash"]
CMD ["ros2", "launch", "hand_mesh_ros", "perception.launch.py"]
