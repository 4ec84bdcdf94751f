package cluster

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"platform.dev/stores/hack/localcluster/internal/network"
)

// packages maps the programs the cluster needs to the Debian packages they come in.
var packages = []struct{ program, name string }{
	{"containerd", "containerd"},
	{"runc", "runc"},
	{"iptables", "iptables"},
}

// programs of the cluster that hack/localcluster/build.sh makes.
var programs = []string{
	"coredns", "etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet", "localcluster", "pause",
}

// pluginFolders are where distributions put CNI plugins.
var pluginFolders = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

// fixedPorts on 127.0.0.1 serve health checks and metrics.
var fixedPorts = map[int]string{
	10248: "kubelet", 10249: "kube-proxy", 10256: "kube-proxy", 10257: "kube-controller-manager", 10259: "kube-scheduler",
}

// checkHost reports everything about the machine that would make a start fail.
func (c Config) checkHost() error {
	if os.Geteuid() != 0 {
		return errors.New("a cluster needs root: containers, network interfaces and packet filter rules are made")
	}
	if err := errors.Join(c.checkPrograms(), network.CheckFree(c.Pods, c.Services)); err != nil {
		return err
	}
	// Another cluster would have the ports too: it is the better explanation.
	if err := c.checkLeftovers(); err != nil {
		return err
	}
	return c.checkPorts()
}

func (c Config) checkPrograms() error {
	var missing []string
	for _, p := range packages {
		if _, err := exec.LookPath(p.program); err != nil {
			missing = append(missing, p.name)
		}
	}
	if _, err := pluginFolder(); err != nil {
		missing = append(missing, "containernetworking-plugins")
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing packages: run apt-get install --no-install-recommends %s", strings.Join(missing, " "))
	}
	for _, program := range programs {
		if _, err := os.Stat(filepath.Join(c.Bin, program)); err != nil {
			return fmt.Errorf("%s is not in %s: run hack/localcluster/build.sh", program, c.Bin)
		}
	}
	return nil
}

func pluginFolder() (string, error) {
	for _, folder := range pluginFolders {
		found := true
		for _, plugin := range []string{"bridge", "host-local", "portmap", "loopback"} {
			if _, err := os.Stat(filepath.Join(folder, plugin)); err != nil {
				found = false
			}
		}
		if found {
			return folder, nil
		}
	}
	return "", fmt.Errorf("no CNI plugins in %s", strings.Join(pluginFolders, ", "))
}

func (c Config) checkPorts() error {
	var errs []error
	check := func(port int, use string) {
		if !portFree(port) {
			errs = append(errs, fmt.Errorf("port %d on 127.0.0.1, for %s, is in use", port, use))
		}
	}
	check(c.APIPort, "the API server (--api-port)")
	check(c.HTTPPort, "the stores (--http-port)")
	for port, use := range fixedPorts {
		check(port, use)
	}
	return errors.Join(errs...)
}

func portFree(port int) bool {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}

// freePort returns preferred when it is free, else any free port.
func freePort(preferred int) (int, error) {
	if portFree(preferred) {
		return preferred, nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// checkLeftovers finds another cluster, running or not properly stopped.
func (c Config) checkLeftovers() error {
	other, err := readState(stateFile)
	if err == nil {
		return fmt.Errorf("another local cluster is running or was not stopped: run localcluster stop --output %s", other.Output)
	}
	if !errors.Is(err, ErrNotRunning) {
		return err
	}
	chains, err := network.ClusterChains()
	if err != nil {
		return err
	}
	for _, chain := range chains {
		if strings.Contains(chain, "/KUBE-SERVICES") || strings.Contains(chain, "/LOCALCLUSTER-") {
			return fmt.Errorf("packet filter chain %s shows another Kubernetes on this machine: stop it first", chain)
		}
	}
	return nil
}
