module berth.dev/e2e/node-loaders

go 1.26

require (
	github.com/containerd/containerd v1.7.28
	github.com/containerd/containerd/v2 v2.4.2
	github.com/google/go-containerregistry v0.20.2
	github.com/rancher/wharfie v0.7.1
	github.com/sirupsen/logrus v1.9.4
	go.podman.io/image/v5 v5.42.0
)
