package cluster

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// unaskedFolders are made by containerd, the kubelet, CNI plugins and mount at
// paths that cannot be configured.
var unaskedFolders = []string{
	"/run/containerd", "/run/mount", "/var/lib/cni", "/var/lib/containerd", "/var/lib/kubelet",
	"/var/log/containers", "/var/log/pods", "/opt/containerd",
}

func missingFolders() []string {
	return slices.DeleteFunc(slices.Clone(unaskedFolders), func(folder string) bool {
		_, err := os.Lstat(folder)
		return err == nil
	})
}

// removeUnasked removes what the cluster has in these folders, and those of
// them that were not there before and are empty now: others may use them too.
func (s state) removeUnasked() error {
	var errs []error
	for _, find := range []func() ([]string, error){shimSockets, s.logLinks, networkResults} {
		found, err := find()
		errs = append(errs, err)
		for _, file := range found {
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	for _, folder := range s.Created {
		if folder == "/var/lib/kubelet" { // No kubelet but ours can have been here.
			errs = append(errs, os.RemoveAll(filepath.Join(folder, "device-plugins")))
		}
		errs = append(errs, removeEmpty(folder))
	}
	return errors.Join(errs...)
}

// shimSockets are the sockets of container shims. A shim removes its own, unless
// it was killed.
func shimSockets() ([]string, error) {
	addresses, err := filepath.Glob(RunDir + "/containerd/io.containerd.runtime.v2.task/k8s.io/*/address")
	if err != nil {
		return nil, err
	}
	var sockets []string
	for _, address := range addresses {
		content, err := os.ReadFile(address)
		if err != nil {
			return nil, err
		}
		sockets = append(sockets, strings.TrimPrefix(string(content), "unix://"))
	}
	return sockets, nil
}

// logLinks are the links to the logs of containers.
func (s state) logLinks() ([]string, error) {
	links, err := filepath.Glob("/var/log/containers/*.log")
	return slices.DeleteFunc(links, func(link string) bool {
		target, err := os.Readlink(link)
		return err != nil || !strings.HasPrefix(target, s.path("pod-logs"))
	}), err
}

// networkResults are what CNI plugins said about pods of the cluster's network.
// For each there is one on the pod's loopback interface, in a network whose name
// all clusters share.
func networkResults() ([]string, error) {
	const folder = "/var/lib/cni/results"
	results, err := filepath.Glob(filepath.Join(folder, networkName+"-*-eth0"))
	for _, result := range slices.Clone(results) {
		pod := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(result), networkName+"-"), "-eth0")
		results = append(results, filepath.Join(folder, "cni-loopback-"+pod+"-lo"))
	}
	return results, err
}

// removeEmpty removes a folder and those in it as far as they hold no files.
func removeEmpty(folder string) error {
	var folders []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && entry.IsDir() {
			folders = append(folders, path)
		}
		return err
	})
	for _, empty := range slices.Backward(folders) {
		_ = os.Remove(empty) // Fails on the ones that are in use by others.
	}
	return err
}
