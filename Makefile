# The first call of a target sets up .venv in one or two minutes. Later calls are quick.
#   make demo [SOURCE=synthetic|video.mp4|0] [PORT=8080]    the whole graph, with a viewer in the browser
#   make test                                               lint and all tests
#   make docs                                               the documentation as a site: build/site/index.html
#   make bench [DATA=folder] [VIDEO=hand.mp4]               accuracy.md, graph.md, depth.md, depth_shape.md and smoothness.md of docs/, measured on
#                                                           rendered hands, annotated photographs and a video of one hand: an hour
#   make train                                              trains every model of this project from scratch, into runs/: four hours on two cores
#   make export                                             exports the models in runs/ to models/ and calibrates their uncertainty
# A fresh Debian or Ubuntu needs: apt install python3-venv python3-dev g++ cmake make

PYTHON ?= python3
SOURCE ?= synthetic
PORT ?= 8080
PYTEST_ARGS ?=
DATA ?=
VIDEO ?=

VENV := $(CURDIR)/.venv
STAMPS := $(VENV)/.stamps
INTERFACES := CMakeLists.txt package.xml hand_mesh_ros/__init__.py \
  $(wildcard cmake/*.cmake cmake/tf2_msgs/* cmake/tf2_msgs/msg/* msg msg/* srv srv/* action action/*)

# The wheels are a complete ROS installation. Another ROS that the shell has sourced must not interfere.
unexport PYTHONPATH PYTHONHOME RMW_IMPLEMENTATION CMAKE_PREFIX_PATH _ROS_WHEELS_BOOTSTRAP_COMPLETE
export AMENT_PREFIX_PATH := $(VENV)
export VIRTUAL_ENV := $(VENV)
export PATH := $(VENV)/bin:$(PATH)
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST

.PHONY: demo test lint setup docs bench train export clean
MAKEFLAGS += --no-print-directory
.NOTPARALLEL:
.DELETE_ON_ERROR:

demo: $(STAMPS)/messages $(STAMPS)/viewer
	$(VENV)/bin/python -m hand_mesh_ros.apps.demo --source "$(SOURCE)" --port $(PORT)

test: export ROS_DOMAIN_ID ?= 87
test: setup lint
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

lint: $(STAMPS)/test
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy

setup: $(STAMPS)/messages $(STAMPS)/test_messages $(STAMPS)/viewer $(STAMPS)/train $(STAMPS)/test $(STAMPS)/docs

docs: $(STAMPS)/docs
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet
	@echo "open build/site/index.html"

bench: setup
	$(VENV)/bin/python -m benchmarks.accuracy.tables $(addprefix --data ,$(DATA))
	$(VENV)/bin/python -m benchmarks.graph $(addprefix --data ,$(DATA))
	$(VENV)/bin/python -m benchmarks.depth $(addprefix --data ,$(DATA)) --out docs/depth.md
	$(VENV)/bin/python -m benchmarks.depth.shape --out docs/depth_shape.md
	$(VENV)/bin/python -m benchmarks.depth.pictures --out docs/images/depth_fit.png
	$(VENV)/bin/python -m benchmarks.motion $(addprefix --video ,$(VIDEO)) --out docs/smoothness.md

# These commands made the shipped files. Views are stored once. An interrupted training resumes. The cascade trains without stored
# views. The calibration uses the natural stored views. The graph diffusion trains on stored views of any kind, then on mostly natural
# ones.
VIEWS := runs/detected
NATURAL := runs/natural
TO_CORRECT := runs/natural_views
FOR_GRAPH := runs/graph_views
train: setup
	$(call train_model,joints,--minutes 34 --precision bfloat16 --validate-every 2000)
	$(call train_model,mesh_autoencoder,--steps 500 --batch-size 64 --learning-rate 2e-4 --ema-decay 0.99 --validate-every 250)
	$(call train_model,mesh_latent,--source runs/mesh_autoencoder --joints runs/joints --minutes 7 --validate-every 400)
	$(call store_views,$(TO_CORRECT),1000,9 --held-out --natural)
	$(call store_views,$(TO_CORRECT),3000,2 --natural)
	$(call store_views,$(TO_CORRECT),1000,3)
	$(call store_views,$(TO_CORRECT),6000,4 --natural)
	$(call train_model,keypoints,--views $(TO_CORRECT) --steps 1500 --validate-every 500)
	$(call store_views,$(NATURAL),2000,8 --held-out --natural)
	$(call store_views,$(VIEWS),3000,7 --held-out)
	$(call store_views,$(VIEWS),15000,0)
	$(call store_views,$(VIEWS),18000,1)
	$(call train_model,graph_diffusion,--views $(VIEWS) --minutes 85 --validate-every 500)
	mkdir -p runs/graph_start $(FOR_GRAPH)
	ln -f $(TO_CORRECT)/train_*.npz $(TO_CORRECT)/held_out_*.npz $(FOR_GRAPH)
	$(call store_views,$(FOR_GRAPH),2000,5)
	$(VENV)/bin/python -m models_train.export_onnx graph_diffusion --run runs/graph_diffusion --out runs/graph_start
	$(call train_run,graph_diffusion,graph_natural,--start runs/graph_start --views $(FOR_GRAPH) --natural-share 0.6 --steps 1500 \
	  --learning-rate 1e-3 --validate-every 500)

define store_views
$(VENV)/bin/python -m models_train.data.detected --out $(1) --count $(2) --seed $(3)
endef

# $(call train_run,<task>,<run>,<options>)
define train_run
$(VENV)/bin/python -m models_train.train $(1) $(3) --run runs/$(2) $(if $(wildcard runs/$(2)/last.pt),--resume)
endef

train_model = $(call train_run,$(1),$(1),$(2))

export: setup
	for task in joints keypoints mesh_autoencoder mesh_latent; do \
	  $(VENV)/bin/python -m models_train.export_onnx $$task --run runs/$$task || exit 1; done
	$(VENV)/bin/python -m models_train.export_onnx graph_diffusion --run runs/graph_natural
	$(VENV)/bin/python -m models_train.cpu_copies
	$(VENV)/bin/python -m models_train.calibrate --views $(NATURAL)

clean:
	rm -rf $(VENV)

$(STAMPS)/venv:
	@PYTHON="$(PYTHON)" sh requirements/check_system.sh
	$(PYTHON) -m venv $(VENV)
	mkdir -p $(STAMPS)
	touch $@

$(STAMPS)/%: requirements/%.txt | $(STAMPS)/venv
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

# This rule builds messages and executables into the venv. Python code runs from this tree. The wheels lack the TF message.
$(STAMPS)/messages: $(INTERFACES) $(STAMPS)/runtime $(STAMPS)/ros $(STAMPS)/build
	$(call build_into_venv,tf2_msgs,cmake/tf2_msgs)
	$(call build_into_venv,hand_mesh_ros,.,-DHAND_MESH_ROS_IN_PLACE=ON)
	touch $@

# The wheels lack these messages too. Only tests need them.
$(STAMPS)/test_messages: $(wildcard test/ros/foxglove_msgs/* test/ros/foxglove_msgs/msg/*) $(STAMPS)/messages
	$(call build_into_venv,foxglove_msgs,test/ros/foxglove_msgs)
	touch $@

# $(call build_into_venv,<package>,<folder>[,<options>])
define build_into_venv
cmake -S $(2) -B $(VENV)/build/$(1) -DCMAKE_INSTALL_PREFIX=$(VENV) -DCMAKE_PREFIX_PATH=$(VENV) $(3) \
  -DPython3_EXECUTABLE=$(VENV)/bin/python -DPython3_FIND_VIRTUALENV=ONLY -DBUILD_TESTING=OFF --log-level=WARNING
cmake --build $(VENV)/build/$(1) --parallel 2
cmake --install $(VENV)/build/$(1) >$(VENV)/build/$(1)/install.log
endef
