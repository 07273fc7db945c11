package schema

import (
	"strconv"

	"github.com/iotctl/iotctl/internal/payload"
)

func (r *run) object(n *node, o payload.Object, where string, k *looked) bool {
	ok := true
	if len(o) < n.minMembers {
		ok = r.wrong(where, "has %d members, fewer than %d", len(o), n.minMembers)
	}
	if n.maxMembers >= 0 && len(o) > n.maxMembers {
		ok = r.wrong(where, "has %d members, more than %d", len(o), n.maxMembers)
	}
	var present map[string]bool
	has := func(name string) bool {
		if present == nil {
			present = make(map[string]bool, len(o))
			for _, m := range o {
				present[m.Name] = true
			}
		}
		return present[name]
	}
	for _, name := range n.required {
		if !has(name) {
			ok = r.wrong(where, "lacks %q", name)
		}
	}
	for name, needed := range n.needs {
		for _, other := range needed {
			if has(name) && !has(other) {
				ok = r.wrong(where, "lacks %q, which %q needs", other, name)
			}
		}
	}
	for name, s := range n.dependent {
		if has(name) {
			ok = r.check(s, o, where, k) && ok
		}
	}
	for _, m := range o {
		ok = r.member(n, m, where, k) && ok
	}
	if n.unevaluatedProperties != nil {
		for _, m := range o {
			if !k.members[m.Name] {
				ok = r.check(n.unevaluatedProperties, m.Value, join(where, m.Name), nil) && ok
				k.member(m.Name)
			}
		}
	}
	return ok
}

func (r *run) member(n *node, m payload.Member, where string, k *looked) bool {
	ok, known := true, false
	place := where
	if r.quiet == 0 {
		place = join(where, m.Name)
	}
	if n.names != nil && !r.fits(n.names, m.Name, nil) {
		ok = r.wrong(place, "has a name that is not allowed")
	}
	if s := n.properties[m.Name]; s != nil {
		known = true
		ok = r.check(s, m.Value, place, nil) && ok
	}
	for _, p := range n.patterns {
		if p.pattern.MatchString(m.Name) {
			known = true
			ok = r.check(p.n, m.Value, place, nil) && ok
		}
	}
	if !known && n.additional != nil {
		known = true
		ok = r.check(n.additional, m.Value, place, nil) && ok
	}
	if known {
		k.member(m.Name)
	}
	return ok
}

func join(where, name string) string {
	if where == "" {
		return name
	}
	return where + "." + name
}

func (r *run) array(n *node, list []any, where string, k *looked) bool {
	ok := true
	if len(list) < n.minItems {
		ok = r.wrong(where, "has %d items, fewer than %d", len(list), n.minItems)
	}
	if n.maxItems >= 0 && len(list) > n.maxItems {
		ok = r.wrong(where, "has %d items, more than %d", len(list), n.maxItems)
	}
	if n.unique {
		ok = r.distinct(list, where) && ok
	}
	for i, e := range list {
		s := n.rest
		if i < len(n.first) {
			s = n.first[i]
		}
		if s == nil {
			break
		}
		ok = r.check(s, e, index(where, i, r.quiet), nil) && ok
		if k != nil {
			k.first = max(k.first, i+1)
		}
	}
	if n.contains != nil {
		ok = r.containing(n, list, where, k) && ok
	}
	if n.unevaluatedItems != nil {
		for i, e := range list {
			if i >= k.first && !k.items[i] {
				ok = r.check(n.unevaluatedItems, e, index(where, i, r.quiet), nil) && ok
			}
		}
		k.first = len(list)
	}
	return ok
}

func index(where string, i, quiet int) string {
	if quiet > 0 {
		return ""
	}
	return where + "[" + strconv.Itoa(i) + "]"
}

func (r *run) distinct(list []any, where string) bool {
	seen := make(map[string]int, len(list))
	for i, e := range list {
		key := r.canonical(e)
		if first, ok := seen[key]; ok {
			return r.wrong(where, "has the same twice, as items %d and %d", first, i)
		}
		seen[key] = i
	}
	return true
}

func (r *run) containing(n *node, list []any, where string, k *looked) bool {
	found := 0
	for i, e := range list {
		if r.fits(n.contains, e, nil) {
			found++
			k.item(i)
		}
	}
	least := 1
	if n.minContains >= 0 {
		least = n.minContains
	}
	if found < least {
		return r.wrong(where, "has %d items that contains asks for, fewer than %d", found, least)
	}
	if n.maxContains >= 0 && found > n.maxContains {
		return r.wrong(where, "has %d items that contains asks for, more than %d", found, n.maxContains)
	}
	return true
}
