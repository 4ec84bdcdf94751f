package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// wanted are the kernel settings without which pods cannot talk to services:
// packets must be forwarded, and those that stay on the bridge must pass
// kube-proxy's rules too, or answers come back from an address nobody asked.
var wanted = map[string]string{
	"net/ipv4/ip_forward":                "1",
	"net/bridge/bridge-nf-call-iptables": "1",
}

// touched are the kernel settings that the kubelet and kube-proxy change.
var touched = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes", "net/ipv4/conf/all/route_localnet",
	"net/netfilter/nf_conntrack_max", "net/netfilter/nf_conntrack_tcp_timeout_established",
	"net/netfilter/nf_conntrack_tcp_timeout_close_wait", "net/netfilter/nf_conntrack_tcp_be_liberal",
}

// ReadSettings returns all kernel settings that a running cluster may change, as
// they are now. Settings the kernel does not have are left out.
func ReadSettings() (map[string]string, error) {
	names := append([]string{}, touched...)
	for name := range wanted {
		names = append(names, name)
	}
	settings := map[string]string{}
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join("/proc/sys", name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		settings[name] = strings.TrimSpace(string(content))
	}
	return settings, nil
}

// ApplySettings sets what the cluster needs.
func ApplySettings() error {
	return write(wanted)
}

// RestoreSettings sets everything back to what ReadSettings returned.
func RestoreSettings(settings map[string]string) error {
	return write(settings)
}

// write skips settings that are right already: some can be read but not written
// where the program runs with fewer rights.
func write(settings map[string]string) error {
	var errs []error
	for name, value := range settings {
		file := filepath.Join("/proc/sys", name)
		content, err := os.ReadFile(file)
		if err == nil && strings.TrimSpace(string(content)) == value {
			continue
		}
		if err := os.WriteFile(file, []byte(value), 0o644); err != nil {
			errs = append(errs, fmt.Errorf("setting %s to %s: %w", name, value, err))
		}
	}
	return errors.Join(errs...)
}
