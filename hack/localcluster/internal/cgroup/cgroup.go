// Package cgroup keeps one control group below which everything of the cluster
// runs, on hosts with cgroup v1, v2 or both. Whoever empties it has ended every
// process of the cluster, container or not.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
)

// daemons is the child group of the programs that are not in containers. On
// cgroup v2 a group with children must have no processes of its own.
const daemons = "daemons"

// Group is a control group of the same name in every hierarchy of the host.
type Group struct {
	name string
	// roots are the mount points of the hierarchies; the first is where the
	// daemons are kept.
	roots []string
	// unified is set when the first root is a cgroup v2 hierarchy with controllers.
	unified bool
}

// Find looks up the host's hierarchies. It creates nothing.
func Find(name string) (Group, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return Group{}, fmt.Errorf("listing cgroup mounts: %w", err)
	}
	group := Group{name: name}
	for _, mount := range mounts {
		if mount.FSType == "cgroup2" && mount.Mountpoint == "/sys/fs/cgroup" {
			return Group{name: name, roots: []string{mount.Mountpoint}, unified: true}, nil
		}
		if slices.Contains(strings.Split(mount.VFSOptions, ","), "pids") {
			group.roots = slices.Insert(group.roots, 0, mount.Mountpoint)
		} else {
			group.roots = append(group.roots, mount.Mountpoint)
		}
	}
	if len(group.roots) == 0 {
		return Group{}, errors.New("no cgroup file system is mounted at /sys/fs/cgroup")
	}
	return group, nil
}

// Path is the group's name as the kubelet wants it.
func (g Group) Path() string { return "/" + g.name }

// Create makes the group in every hierarchy.
func (g Group) Create() error {
	for _, root := range g.roots {
		folder := filepath.Join(root, g.name)
		if g.unified {
			delegate(root)
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return fmt.Errorf("creating a cgroup: %w", err)
		}
		if g.unified {
			delegate(folder)
		}
		// A new cpuset is empty and would not let any process in.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if value, err := os.ReadFile(filepath.Join(root, file)); err == nil && !g.unified {
				if err := os.WriteFile(filepath.Join(folder, file), value, 0o644); err != nil {
					return fmt.Errorf("setting %s: %w", file, err)
				}
			}
		}
	}
	return os.MkdirAll(filepath.Join(g.roots[0], g.name, daemons), 0o755)
}

// delegate hands every controller the host has down to the children of a
// cgroup v2 folder. What the host refuses, the kubelet names if it needs it.
func delegate(folder string) {
	controllers, _ := os.ReadFile(filepath.Join(folder, "cgroup.controllers"))
	for _, controller := range strings.Fields(string(controllers)) {
		_ = os.WriteFile(filepath.Join(folder, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
	}
}

// AddDaemon moves a process, and with it all it will start, into the group.
func (g Group) AddDaemon(pid int) error {
	file := filepath.Join(g.roots[0], g.name, daemons, "cgroup.procs")
	if err := os.WriteFile(file, []byte(strconv.Itoa(pid)), 0o644); err != nil {
		return fmt.Errorf("moving process %d into its cgroup: %w", pid, err)
	}
	return nil
}

// Remove kills every process in the group and removes it.
func (g Group) Remove(timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		pids, err := g.kill()
		if err == nil {
			err = g.removeFolders()
		}
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("removing cgroup %s, which still holds processes %v: %w", g.name, pids, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// kill signals every process in the group once and returns their numbers.
func (g Group) kill() ([]int, error) {
	var pids []int
	err := g.eachFolder(func(folder string) error {
		content, err := os.ReadFile(filepath.Join(folder, "cgroup.procs"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, line := range strings.Fields(string(content)) {
			pid, err := strconv.Atoi(line)
			if err != nil || pid <= 0 { // 0 stands for a process of another PID namespace.
				continue
			}
			pids = append(pids, pid)
			_ = syscall.Kill(pid, syscall.SIGKILL) // It may be gone already.
		}
		return nil
	})
	return pids, err
}

func (g Group) removeFolders() error {
	return g.eachFolder(func(folder string) error {
		if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// eachFolder visits the group's folders in all hierarchies, children first.
func (g Group) eachFolder(visit func(folder string) error) error {
	for _, root := range g.roots {
		var folders []string
		err := filepath.WalkDir(filepath.Join(root, g.name), func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err == nil && entry.IsDir() {
				folders = append(folders, path)
			}
			return err
		})
		if err != nil {
			return err
		}
		for _, folder := range slices.Backward(folders) {
			if err := visit(folder); err != nil {
				return err
			}
		}
	}
	return nil
}
