"""Shows hands without ROS. Input: estimates. Output: a browser page, and images with an overlay."""
