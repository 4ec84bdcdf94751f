package cgroup

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestRemoveEndsEveryProcess(t *testing.T) {
	t.Parallel()
	group, err := Find(fmt.Sprintf("localcluster-test-%d", os.Getpid()))
	if err != nil {
		t.Skip(err)
	}
	if os.Geteuid() != 0 {
		t.Skip("cgroups can only be made by root")
	}
	if err := group.Create(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := group.Remove(10 * time.Second); err != nil {
			t.Error(err)
		}
	})
	if err := group.Create(); err != nil {
		t.Errorf("the second time: %v", err)
	}
	// A container is deeper than a daemon, and may have any depth.
	container := filepath.Join(group.roots[0], group.name, "pods", "pod")
	if err := os.MkdirAll(container, 0o755); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("/bin/sh", "-c", "trap '' TERM; sleep 300 & wait")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = command.Wait() // It is killed, and says so.
	}()
	if err := group.AddDaemon(command.Process.Pid); err != nil {
		t.Fatal(err)
	}
	if err := group.Remove(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the process still runs")
	}
	for _, root := range group.roots {
		if _, err := os.Stat(filepath.Join(root, group.name)); !os.IsNotExist(err) {
			t.Errorf("left in %s: %v", root, err)
		}
	}
}
