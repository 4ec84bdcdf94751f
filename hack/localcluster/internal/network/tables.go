package network

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"

	"github.com/google/nftables"
)

// families and tableNames are where iptables, in its nftables variant, keeps
// rules. It makes a table when it is first used and cannot remove it.
var (
	families   = map[nftables.TableFamily]string{nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6"}
	tableNames = []string{"filter", "nat", "mangle", "raw", "security"}
)

// ReadTables lists the host's iptables tables, as FAMILY/TABLE. It lists none
// where iptables is the older variant, whose tables always exist.
func ReadTables() ([]string, error) {
	var names []string
	err := eachTable(func(_ *nftables.Conn, _ *nftables.Table, name string) error {
		names = append(names, name)
		return nil
	})
	return names, err
}

// RemoveTables removes the iptables tables that hold no rule, but those listed
// in keep.
func RemoveTables(keep []string) error {
	return eachTable(func(connection *nftables.Conn, table *nftables.Table, name string) error {
		if slices.Contains(keep, name) {
			return nil
		}
		empty, err := isEmpty(connection, table)
		if err != nil || !empty {
			return err
		}
		connection.DelTable(table)
		if err := connection.Flush(); err != nil {
			return fmt.Errorf("removing packet filter table %s: %w", name, err)
		}
		return nil
	})
}

func eachTable(visit func(connection *nftables.Conn, table *nftables.Table, name string) error) error {
	version, err := exec.Command("iptables", "--version").Output()
	if err != nil {
		return fmt.Errorf("running iptables: %w", err)
	}
	if !bytes.Contains(version, []byte("nf_tables")) {
		return nil
	}
	connection, err := nftables.New()
	if err != nil {
		return err
	}
	tables, err := connection.ListTables()
	if err != nil {
		return fmt.Errorf("listing packet filter tables: %w", err)
	}
	for _, table := range tables {
		family, known := families[table.Family]
		if !known || !slices.Contains(tableNames, table.Name) {
			continue
		}
		if err := visit(connection, table, family+"/"+table.Name); err != nil {
			return err
		}
	}
	return nil
}

func isEmpty(connection *nftables.Conn, table *nftables.Table) (bool, error) {
	chains, err := connection.ListChainsOfTableFamily(table.Family)
	if err != nil {
		return false, err
	}
	for _, chain := range chains {
		if chain.Table.Name != table.Name {
			continue
		}
		rules, err := connection.GetRules(table, chain)
		if err != nil || len(rules) > 0 {
			return false, err
		}
	}
	return true, nil
}
