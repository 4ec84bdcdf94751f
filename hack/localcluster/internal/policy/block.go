package policy

import (
	"fmt"
	"net/netip"

	networkingv1 "k8s.io/api/networking/v1"
)

// blockOf is a block of addresses without its exceptions. Blocks of IPv6 are
// empty: no pod has such an address.
func blockOf(block *networkingv1.IPBlock) ([]netip.Prefix, error) {
	whole, err := netip.ParsePrefix(block.CIDR)
	if err != nil {
		return nil, fmt.Errorf("block: %w", err)
	}
	if !whole.Addr().Is4() {
		return nil, nil
	}
	rest := []netip.Prefix{whole.Masked()}
	for _, text := range block.Except {
		except, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("exception of a block: %w", err)
		}
		var smaller []netip.Prefix
		for _, prefix := range rest {
			smaller = append(smaller, without(prefix, except.Masked())...)
		}
		rest = smaller
	}
	return rest, nil
}

// without is a prefix less another one, as the halves that do not hold it.
func without(prefix, except netip.Prefix) []netip.Prefix {
	if !prefix.Overlaps(except) {
		return []netip.Prefix{prefix}
	}
	if except.Bits() <= prefix.Bits() {
		return nil
	}
	low := netip.PrefixFrom(prefix.Addr(), prefix.Bits()+1)
	bytes := prefix.Addr().As4()
	bytes[prefix.Bits()/8] |= 0x80 >> (prefix.Bits() % 8)
	high := netip.PrefixFrom(netip.AddrFrom4(bytes), prefix.Bits()+1)
	return append(without(low, except), without(high, except)...)
}
