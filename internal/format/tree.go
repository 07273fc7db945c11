package format

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A tree is a record, or a part of one, as map[string]any, []any, json.Number,
// string, bool and nil: what columns, templates and differences look into.

// path leads to a part of a tree.
type path []step

// step is a member, or the element of a list, which from -1 on counts from its
// end.
type step struct {
	name    string
	index   int
	indexed bool
}

// parsePath reads a path: topic, payload.temp, topic[1], payload["odd name"]. A
// point may stand in front.
func parsePath(s string) (path, *SyntaxError) {
	var p path
	i := 0
	for i < len(s) {
		switch {
		case s[i] == '[':
			st, n, err := parseIndex(s, i)
			if err != nil {
				return nil, err
			}
			p = append(p, st)
			i = n
			continue
		case s[i] == '.':
			i++
		case i > 0:
			return nil, &SyntaxError{i, "a point or a bracket must come here"}
		}
		n := len(s)
		if end := strings.IndexAny(s[i:], `.[]"`); end >= 0 {
			n = i + end
		}
		if n == i {
			if i == len(s) || s[i] != '[' || len(p) > 0 {
				return nil, &SyntaxError{i, "the name of a member must come here"}
			}
			continue
		}
		p = append(p, step{name: s[i:n]})
		i = n
	}
	if len(p) == 0 {
		return nil, &SyntaxError{i, "a path is missing, as in payload.temp"}
	}
	return p, nil
}

// parseIndex reads the bracket that begins at s[i] and returns where it ends.
func parseIndex(s string, i int) (step, int, *SyntaxError) {
	if i+1 < len(s) && s[i+1] == '"' {
		quoted, err := strconv.QuotedPrefix(s[i+1:])
		end := i + 1 + len(quoted)
		if err != nil || end >= len(s) || s[end] != ']' {
			return step{}, 0, &SyntaxError{i + 1, `this must end with "]`}
		}
		name, _ := strconv.Unquote(quoted)
		return step{name: name}, end + 1, nil
	}
	inner, _, closed := strings.Cut(s[i+1:], "]")
	n, err := strconv.Atoi(inner)
	if !closed || err != nil {
		return step{}, 0, &SyntaxError{i + 1, `a number and ] must come here, or a name in quotes and ]`}
	}
	return step{index: n, indexed: true}, i + 1 + len(inner) + 1, nil
}

// find follows the path; nil where it leads nowhere. A topic has its levels for
// elements, and a list of objects of name and value, as user properties are, has
// these for members.
func (p path) find(tree any) any {
	for i, st := range p {
		switch v := tree.(type) {
		case map[string]any:
			if st.indexed {
				return nil
			}
			tree = v[st.name]
		case []any:
			if !st.indexed {
				tree = named(v, st.name)
			} else {
				tree, _ = element(v, st.index)
			}
		case string:
			if !st.indexed || i != 1 || p[0].name != "topic" {
				return nil
			}
			level, ok := element(strings.Split(v, "/"), st.index)
			if !ok {
				return nil
			}
			tree = level
		default:
			return nil
		}
	}
	return tree
}

func element[T any](list []T, i int) (e T, ok bool) {
	if i < 0 {
		i += len(list)
	}
	if i < 0 || i >= len(list) {
		return e, false
	}
	return list[i], true
}

func named(list []any, name string) any {
	for _, e := range list {
		if pair, ok := e.(map[string]any); ok && pair["name"] == name {
			return pair["value"]
		}
	}
	return nil
}

// appendTree appends v as compact JSON, members by name.
func appendTree(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case json.Number:
		return append(dst, v...)
	case int, int64, float64: // of functions of templates
		return fmt.Append(dst, v)
	case string:
		w := jsonWriter{buf: dst}
		w.text([]byte(v))
		return w.buf
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendTree(dst, e)
		}
		return append(dst, ']')
	case map[string]any:
		dst = append(dst, '{')
		for i, name := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendTree(dst, name), ':')
			dst = appendTree(dst, v[name])
		}
		return append(dst, '}')
	}
	return appendTree(dst, fmt.Sprint(v))
}

// appendCell appends v as a cell or a template shows it: text as it is, nothing
// for nothing, else JSON.
func appendCell(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return dst
	case string:
		return append(dst, v...)
	}
	return appendTree(dst, v)
}
