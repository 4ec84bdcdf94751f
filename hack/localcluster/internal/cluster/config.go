// Package cluster starts, inspects and stops a Kubernetes cluster of one node on
// this machine.
package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"platform.dev/stores/hack/localcluster/internal/cgroup"
	"platform.dev/stores/hack/localcluster/internal/process"
)

const (
	// NodeName is the name of the only node.
	NodeName = "localcluster"
	// RunDir holds sockets, whose paths must be short, and what else must not
	// survive a reboot. Only one cluster can use it, and so run, at a time.
	RunDir = "/run/localcluster"

	// stateFile is not among the cluster's files, so that a cluster whose files
	// were deleted can still be stopped.
	stateFile = RunDir + "/state.json"

	cgroupName = "localcluster"
)

// ErrNotRunning means that no cluster of this configuration was started.
var ErrNotRunning = errors.New("the cluster is not running")

// Config says where a cluster lives and what it is called by.
type Config struct {
	// Output is the absolute path of the folder for all files of the cluster.
	Output string `json:"output"`
	// Bin is the folder of the Kubernetes programs.
	Bin string `json:"bin"`
	// Kubeconfig is the file for the administrator's credentials.
	Kubeconfig string `json:"kubeconfig"`
	// APIPort and HTTPPort are the ports on 127.0.0.1 of the API server and of
	// the stores.
	APIPort  int `json:"apiPort"`
	HTTPPort int `json:"httpPort"`
	// Pods and Services are the networks that their addresses are taken from.
	Pods     netip.Prefix `json:"pods"`
	Services netip.Prefix `json:"services"`
}

// state is what a running cluster must remember to be stopped without a trace.
type state struct {
	Config
	// BootID of the machine: after a reboot nothing of the cluster runs any more.
	BootID string `json:"bootID"`
	// Settings are the kernel settings before the start.
	Settings map[string]string `json:"settings"`
	// Chains and Tables are those of the packet filter before the start.
	Chains []string `json:"chains"`
	Tables []string `json:"tables"`
	// Created are the folders outside of Output that were not there before the
	// start and that programs are known to create without being asked.
	Created []string `json:"created"`
}

func (c Config) path(elements ...string) string {
	return filepath.Join(append([]string{c.Output}, elements...)...)
}

// AuditLog is the file in which the API server records every request.
func (c Config) AuditLog() string { return c.path("audit.log") }

// ControllersKubeconfig is the file with the credentials of the cluster's own
// controllers.
func (c Config) ControllersKubeconfig() string {
	return c.path("kubeconfigs", "localcluster.kubeconfig")
}

// VolumesDir holds a folder per volume.
func (c Config) VolumesDir() string { return c.path("volumes") }

// serverURL is the API server as seen from the host.
func (c Config) serverURL() string { return fmt.Sprintf("https://127.0.0.1:%d", c.APIPort) }

func (c Config) group() (cgroup.Group, error) { return cgroup.Find(cgroupName) }

// keeper runs programs with a fixed environment, so that a proxy or a locale of
// the user's shell does not reach the cluster.
func (c Config) keeper(group cgroup.Group) process.Keeper {
	return process.Keeper{
		Records: RunDir + "/processes", Logs: c.path("logs"), Started: group.AddDaemon,
		Environment: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + c.Output},
	}
}

// Load returns the configuration that the cluster in folder output was started
// with, or ErrNotRunning.
func Load(output string) (Config, error) {
	current, err := loadState(output)
	return current.Config, err
}

// loadState returns the state of the cluster in folder output, or ErrNotRunning.
func loadState(output string) (state, error) {
	current, err := readState(stateFile)
	if err == nil && current.Output != output {
		return state{}, ErrNotRunning
	}
	return current, err
}

// readState returns the state of the machine's cluster, whichever that is, or
// ErrNotRunning.
func readState(file string) (state, error) {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, ErrNotRunning
	}
	if errors.Is(err, fs.ErrPermission) {
		return state{}, fmt.Errorf("the cluster belongs to root, be root too: %w", err)
	}
	if err != nil {
		return state{}, err
	}
	var current state
	if err := json.Unmarshal(content, &current); err != nil {
		return state{}, fmt.Errorf("reading %s: %w", file, err)
	}
	return current, nil
}

func (s state) save(file string) error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(content, '\n'), 0o600)
}

// reusable returns an error when a cluster with configuration s cannot stand for
// one with configuration want. Zero ports in want mean any.
func (s state) reusable(want Config) error {
	if want.APIPort == 0 {
		want.APIPort = s.APIPort
	}
	if want != s.Config {
		return fmt.Errorf("a cluster with other settings is running (HTTP port %d, API port %d, pods %s, services %s): stop it first",
			s.HTTPPort, s.APIPort, s.Pods, s.Services)
	}
	return nil
}
