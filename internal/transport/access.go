package transport

import (
	"fmt"
	"net/netip"
	"strings"
)

// rule allows or denies the addresses of one prefix.
type rule struct {
	allow  bool
	all    bool
	prefix netip.Prefix
}

// parseRule reads "allow all", "deny 192.0.2.1" or "allow 10.0.0.0/8". Host
// bits of a prefix are masked off.
func parseRule(s string) (rule, error) {
	verb, what, ok := strings.Cut(strings.TrimSpace(s), " ")
	if !ok || verb != "allow" && verb != "deny" {
		return rule{}, fmt.Errorf("access rule %q: want allow or deny, then all, an address or a CIDR", s)
	}
	r := rule{allow: verb == "allow"}
	if what = strings.TrimSpace(what); what == "all" {
		r.all = true
		return r, nil
	}
	var err error
	if r.prefix, err = parsePrefix(what); err != nil {
		return rule{}, fmt.Errorf("access rule %q: %q is no address and no CIDR", s, what)
	}
	return r, nil
}

// parsePrefix reads an address or a CIDR. An IPv4-mapped one becomes IPv4.
func parsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}

// allowed applies the first rule that matches; no match allows. a is unmapped.
func allowed(rules []rule, a netip.Addr) bool {
	a = a.WithZone("")
	for _, r := range rules {
		if r.all || r.prefix.Contains(a) {
			return r.allow
		}
	}
	return true
}
