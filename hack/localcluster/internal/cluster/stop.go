package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"platform.dev/stores/hack/localcluster/internal/network"
)

// What a cluster has in its output folder: its data goes when it is stopped,
// what can be read stays until the next start.
var (
	data     = []string{"addresses", "config", "containerd", "etcd", "kubeconfigs", "kubelet", "pki", "pod-logs", "volumes"}
	readable = []string{"logs", "audit.log", "audit-*.log"}
)

// Stop ends the cluster in folder output and removes its data and everything it
// has on the host: processes, mounts, network interfaces, packet filter rules,
// control groups and kernel settings. It works for a cluster that was started
// in part, or crashed, and does nothing when there is none.
func Stop(output string, phase Phase) error {
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer unlock()
	current, err := loadState(output)
	if errors.Is(err, ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	return current.stop(phase)
}

func (s state) stop(phase Phase) error {
	group, err := s.group()
	if err != nil {
		return err
	}
	var errs []error
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"programs", func() error { return s.stopPrograms() }},
		{"containers", func() error { return group.Remove(20 * time.Second) }},
		{"mounts", func() error { return unmountBelow(s.Output, RunDir) }},
		{"network", func() error {
			return errors.Join(network.RemoveBridge(), network.RemoveChains(s.Chains), network.RemoveTables(s.Tables))
		}},
		{"kernel settings", func() error { return network.RestoreSettings(s.Settings) }},
		{"files", func() error {
			return errors.Join(s.removeUnasked(), s.removeFiles(data), os.RemoveAll(s.Kubeconfig))
		}},
	} {
		began := time.Now()
		if err := step.do(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", step.name, err))
			continue
		}
		phase(step.name, time.Since(began))
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return os.RemoveAll(RunDir)
}

// stopPrograms ends them all at once: there is nothing to save.
func (s state) stopPrograms() error {
	group, err := s.group()
	if err != nil {
		return err
	}
	var names []string
	for _, component := range s.components() {
		names = append(names, component.Name)
	}
	return s.keeper(group).Stop(time.Second, names...)
}

// unmountBelow unmounts everything in the folders, what was mounted last first.
func unmountBelow(folders ...string) error {
	var errs []error
	for _, folder := range folders {
		mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(folder))
		if err != nil {
			return fmt.Errorf("listing mounts: %w", err)
		}
		for _, mount := range slices.Backward(mounts) {
			err := unix.Unmount(mount.Mountpoint, 0)
			if errors.Is(err, unix.EBUSY) {
				err = unix.Unmount(mount.Mountpoint, unix.MNT_DETACH)
			}
			if err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: it went with another one.
				errs = append(errs, fmt.Errorf("unmounting %s: %w", mount.Mountpoint, err))
			}
		}
		if left, err := mountinfo.GetMounts(mountinfo.PrefixFilter(folder)); err != nil || len(left) > 0 {
			errs = append(errs, fmt.Errorf("%d mounts below %s are left", len(left), folder), err)
		}
	}
	return errors.Join(errs...)
}

// removeFiles deletes files of the cluster, given by patterns, but never what is
// mounted among them.
func (c Config) removeFiles(patterns []string) error {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(c.Output))
	if err != nil {
		return fmt.Errorf("listing mounts: %w", err)
	}
	if len(mounts) > 0 {
		return fmt.Errorf("%s is still mounted", mounts[0].Mountpoint)
	}
	entries, err := os.ReadDir(c.Output)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	for _, entry := range entries {
		ours := func(pattern string) bool {
			matched, err := filepath.Match(pattern, entry.Name())
			return err == nil && matched
		}
		if slices.ContainsFunc(patterns, ours) {
			errs = append(errs, os.RemoveAll(c.path(entry.Name())))
		}
	}
	return errors.Join(errs...)
}
