package network

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
)

// Chain is a packet filter chain with the arguments of its rules.
type Chain struct {
	Name  string
	Rules []string
}

// ReplaceChains makes chains the only ones of an IPv4 table whose names begin
// with the name of the first of them. It is one step: no packet meets old and new
// chains. Then all packets that pods send, and that others send them through this
// host, go to the first.
func ReplaceChains(tableName string, chains []Chain) error {
	first := chains[0].Name
	saved, err := save("iptables", "--table", tableName)
	if err != nil {
		return err
	}
	var existing []string
	for _, t := range parseTables(saved) {
		for _, chain := range t.chains {
			if strings.HasPrefix(chain, first) {
				existing = append(existing, chain)
			}
		}
	}
	if err := restore("iptables", replacement(tableName, chains, existing)); err != nil {
		return err
	}
	return errors.Join(
		ensureFirst(tableName, "FORWARD", "-j", first),
		ensureFirst(tableName, "INPUT", "-i", Bridge, "-j", first))
}

// replacement is the iptables-restore script that puts chains in the place of
// those that exist.
func replacement(tableName string, chains []Chain, existing []string) string {
	var script strings.Builder
	fmt.Fprintf(&script, "*%s\n", tableName)
	for _, chain := range chains {
		fmt.Fprintf(&script, ":%s - [0:0]\n", chain.Name) // Makes it, or empties it.
	}
	for _, chain := range chains {
		for _, rule := range chain.Rules {
			fmt.Fprintf(&script, "-A %s %s\n", chain.Name, rule)
		}
	}
	for _, name := range existing {
		if !slices.ContainsFunc(chains, func(chain Chain) bool { return chain.Name == name }) {
			fmt.Fprintf(&script, "-F %[1]s\n-X %[1]s\n", name)
		}
	}
	script.WriteString("COMMIT\n")
	return script.String()
}

// ensureFirst puts a rule before all others of a chain if the chain has it not
// at all.
func ensureFirst(tableName, chain string, rule ...string) error {
	arguments := func(action string) []string {
		return append([]string{"-w", "-t", tableName, action, chain}, rule...)
	}
	if exec.Command("iptables", arguments("-C")...).Run() == nil {
		return nil
	}
	return run(exec.Command("iptables", arguments("-I")...))
}
