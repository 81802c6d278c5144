"""Images without ROS. Input: a file name, a webcam number or a seed. Output: images with their calibration."""
