// Package network sets up and takes down what the cluster has in the host's
// network: a bridge, a route, packet filter rules and kernel settings.
package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Bridge is the network interface that pods are attached to.
const Bridge = "localcluster0"

// CreateBridge makes the bridge with the first address of the pods' network,
// which is the node's own address, and a route that sends service addresses to
// it: without the route a host that is offline could not reach a service. It is
// no error when they exist.
func CreateBridge(pods, services netip.Prefix) error {
	link := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: Bridge}}
	if err := netlink.LinkAdd(link); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("creating bridge %s: %w", Bridge, err)
	}
	bridge, err := netlink.LinkByName(Bridge)
	if err != nil {
		return err
	}
	address := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(NodeIP(pods), pods.Bits()))}
	if err := netlink.AddrReplace(bridge, address); err != nil {
		return fmt.Errorf("setting the address of %s: %w", Bridge, err)
	}
	if err := netlink.LinkSetUp(bridge); err != nil {
		return err
	}
	route := &netlink.Route{LinkIndex: bridge.Attrs().Index, Dst: ipNet(services), Scope: netlink.SCOPE_LINK}
	if err := netlink.RouteReplace(route); err != nil {
		return fmt.Errorf("adding the route to services: %w", err)
	}
	return nil
}

// RemoveBridge removes the bridge and every interface attached to it.
func RemoveBridge() error {
	bridge, err := netlink.LinkByName(Bridge)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return err
	}
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	var errs []error
	for _, link := range links {
		if link.Attrs().MasterIndex == bridge.Attrs().Index {
			// It goes by itself when the pod's network namespace does, so it may be gone.
			if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
				errs = append(errs, fmt.Errorf("removing %s: %w", link.Attrs().Name, err))
			}
		}
	}
	if err := netlink.LinkDel(bridge); err != nil {
		errs = append(errs, fmt.Errorf("removing %s: %w", Bridge, err))
	}
	return errors.Join(errs...)
}

// NodeIP is the address of the bridge.
func NodeIP(pods netip.Prefix) netip.Addr {
	return pods.Masked().Addr().Next()
}

// CheckFree reports an error when an interface other than the bridge has an
// address in one of the networks.
func CheckFree(networks ...netip.Prefix) error {
	interfaces, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, i := range interfaces {
		addresses, err := i.Addrs()
		if err != nil || i.Name == Bridge {
			continue
		}
		for _, address := range addresses {
			prefix, err := netip.ParsePrefix(address.String())
			if err != nil {
				continue
			}
			for _, network := range networks {
				if network.Overlaps(prefix.Masked()) {
					return fmt.Errorf("network %s overlaps with %s of interface %s: choose another one", network, prefix, i.Name)
				}
			}
		}
	}
	return nil
}

func ipNet(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
}
