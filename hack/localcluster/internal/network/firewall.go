package network

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
)

// forwardChain holds the cluster's own rules for forwarded packets.
const forwardChain = "LOCALCLUSTER-FORWARD"

// programs manage the rules of IPv4 and IPv6. The kubelet and kube-proxy leave
// chains in both.
var programs = []string{"iptables", "ip6tables"}

// clusterPrefixes begin the names of chains made by the kubelet and kube-proxy,
// by CNI plugins, and here.
var clusterPrefixes = []string{"KUBE-", "CNI-", "LOCALCLUSTER-"}

// SealPods lets pods talk to each other and keeps them, both ways, from the
// world outside the host: what runs here must not depend on the internet.
func SealPods() error {
	rules := fmt.Sprintf(`*filter
:%[1]s - [0:0]
-A %[1]s -i %[2]s -o %[2]s -j ACCEPT
-A %[1]s -i %[2]s -j REJECT
-A %[1]s -o %[2]s -j REJECT
COMMIT
`, forwardChain, Bridge)
	if err := restore("iptables", rules); err != nil {
		return err
	}
	return ensureFirst("filter", "FORWARD", "-j", forwardChain)
}

// ClusterChains lists the chains that a cluster, this one or another, has on
// the host, as PROGRAM/TABLE/CHAIN.
func ClusterChains() ([]string, error) {
	var chains []string
	for _, program := range programs {
		saved, err := save(program)
		if err != nil {
			return nil, err
		}
		for _, t := range parseTables(saved) {
			for _, chain := range t.clusterChains() {
				chains = append(chains, program+"/"+t.name+"/"+chain)
			}
		}
	}
	return chains, nil
}

// RemoveChains removes every cluster chain, with the rules in it and the rules
// that lead to it, but those listed in keep.
func RemoveChains(keep []string) error {
	var errs []error
	for _, program := range programs {
		saved, err := save(program)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, t := range parseTables(saved) {
			kept := func(chain string) bool { return slices.Contains(keep, program+"/"+t.name+"/"+chain) }
			if script := t.removal(slices.DeleteFunc(t.clusterChains(), kept)); script != "" {
				errs = append(errs, restore(program, script))
			}
		}
	}
	return errors.Join(errs...)
}

// table is one packet filter table.
type table struct {
	name   string
	chains []string
	rules  []string
}

// parseTables reads the output of iptables-save.
func parseTables(saved string) []table {
	var tables []table
	for line := range strings.Lines(saved) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			tables = append(tables, table{name: line[1:]})
		case strings.HasPrefix(line, ":"):
			last := &tables[len(tables)-1]
			last.chains = append(last.chains, strings.Fields(line[1:])[0])
		case strings.HasPrefix(line, "-A "):
			last := &tables[len(tables)-1]
			last.rules = append(last.rules, line)
		}
	}
	return tables
}

func (t table) clusterChains() []string {
	var chains []string
	for _, chain := range t.chains {
		if slices.ContainsFunc(clusterPrefixes, func(prefix string) bool { return strings.HasPrefix(chain, prefix) }) {
			chains = append(chains, chain)
		}
	}
	return chains
}

// removal is the iptables-restore script that removes chains, or nothing when
// there are none.
func (t table) removal(chains []string) string {
	if len(chains) == 0 {
		return ""
	}
	var script strings.Builder
	fmt.Fprintf(&script, "*%s\n", t.name)
	for _, chain := range chains {
		fmt.Fprintf(&script, ":%s - [0:0]\n", chain) // Empties the chain.
	}
	for _, rule := range t.rules {
		if chain := strings.Fields(rule)[1]; !slices.Contains(chains, chain) && leadsTo(rule, chains) {
			fmt.Fprintf(&script, "-D %s\n", strings.TrimPrefix(rule, "-A "))
		}
	}
	for _, chain := range chains {
		fmt.Fprintf(&script, "-X %s\n", chain)
	}
	script.WriteString("COMMIT\n")
	return script.String()
}

// leadsTo reports whether a rule jumps to one of the chains.
func leadsTo(rule string, chains []string) bool {
	words := strings.Fields(rule)
	for i, word := range words[:len(words)-1] {
		if (word == "-j" || word == "-g") && slices.Contains(chains, words[i+1]) {
			return true
		}
	}
	return false
}

func save(program string, arguments ...string) (string, error) {
	output, err := exec.Command(program+"-save", arguments...).Output()
	if err != nil {
		return "", fmt.Errorf("running %s-save: %w", program, err)
	}
	return string(output), nil
}

func restore(program, script string) error {
	command := exec.Command(program+"-restore", "-w", "5", "--noflush")
	command.Stdin = strings.NewReader(script)
	return run(command)
}

// run adds what the command said to its error.
func run(command *exec.Cmd) error {
	output, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("running %s: %w: %s", strings.Join(command.Args, " "), err, bytes.TrimSpace(output))
	}
	return nil
}

// ServiceIP is the nth address of the services' network.
func ServiceIP(services netip.Prefix, n int) netip.Addr {
	address := services.Masked().Addr()
	for range n {
		address = address.Next()
	}
	return address
}
