package format

import (
	"maps"
	"slices"
	"strconv"
)

// Change is one difference between two values.
type Change struct {
	Kind     byte   // '+' added, '-' removed, '~' changed
	Path     string // as jq writes it: .a.b[0]; "." is the whole
	Old, New any
}

// Diff lists what has become of was, members by name, elements by place. Numbers
// differ when their digits do.
func Diff(was, is any) []Change {
	return diff(nil, ".", was, is)
}

func diff(to []Change, at string, was, is any) []Change {
	switch was := was.(type) {
	case map[string]any:
		if is, ok := is.(map[string]any); ok {
			return diffMembers(to, at, was, is)
		}
	case []any:
		if is, ok := is.([]any); ok {
			return diffElements(to, at, was, is)
		}
	default:
		switch is.(type) {
		case map[string]any, []any:
		default:
			if was == is {
				return to
			}
		}
	}
	return append(to, Change{Kind: '~', Path: at, Old: was, New: is})
}

func diffMembers(to []Change, at string, was, is map[string]any) []Change {
	names := slices.AppendSeq(slices.Collect(maps.Keys(was)), maps.Keys(is))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		old, had := was[name]
		now, has := is[name]
		member := memberPath(at, name)
		switch {
		case !had:
			to = append(to, Change{Kind: '+', Path: member, New: now})
		case !has:
			to = append(to, Change{Kind: '-', Path: member, Old: old})
		default:
			to = diff(to, member, old, now)
		}
	}
	return to
}

func diffElements(to []Change, at string, was, is []any) []Change {
	for i := range max(len(was), len(is)) {
		element := at + "[" + strconv.Itoa(i) + "]"
		switch {
		case i >= len(was):
			to = append(to, Change{Kind: '+', Path: element, New: is[i]})
		case i >= len(is):
			to = append(to, Change{Kind: '-', Path: element, Old: was[i]})
		default:
			to = diff(to, element, was[i], is[i])
		}
	}
	return to
}

// memberPath is the path of a member of what stands at at.
func memberPath(at, name string) string {
	if plainName(name) {
		if at == "." {
			return at + name
		}
		return at + "." + name
	}
	return at + "[" + string(appendTree(nil, name)) + "]"
}

func plainName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9' || i == 0) {
			return false
		}
	}
	return s != ""
}

// Append appends the change: "~ .a.b: 20 -> 21".
func (c *Change) Append(dst []byte) []byte {
	dst = append(append(append(dst, c.Kind, ' '), c.Path...), ": "...)
	switch c.Kind {
	case '+':
		return appendTree(dst, c.New)
	case '-':
		return appendTree(dst, c.Old)
	}
	return appendTree(append(appendTree(dst, c.Old), " -> "...), c.New)
}
