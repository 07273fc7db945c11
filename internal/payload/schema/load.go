package schema

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/payload"
)

// Limits of schemas.
const (
	maxFile  = 4 << 20
	maxFiles = 50
)

// loader reads files, and makes nodes of the schemas in them.
type loader struct {
	documents map[string]any   // by URI without fragment
	anchors   map[string]place // by URI with #anchor
	nodes     map[place]*node
	schema    *Schema
}

// place is a schema in a document.
type place struct{ base, document, pointer string }

// Load reads a schema from a file.
func Load(file string) (*Schema, error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	uri := (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()
	l := &loader{map[string]any{}, map[string]place{}, map[place]*node{}, &Schema{}}
	if err := l.read(uri); err != nil {
		return nil, err
	}
	l.schema.root, err = l.at(place{document: uri, base: l.baseOf(uri)})
	return l.schema, err
}

// baseOf is what references of the document at uri are relative to.
func (l *loader) baseOf(uri string) string {
	if o, ok := l.documents[uri].(payload.Object); ok {
		if id, ok := text(o, "$id"); ok {
			return resolve(uri, id)
		}
	}
	return uri
}

func text(o payload.Object, name string) (string, bool) {
	v, _ := o.Get(name)
	s, ok := v.(string)
	return s, ok
}

// resolve makes an absolute URI of ref.
func resolve(base, ref string) string {
	b, err := url.Parse(base)
	if err != nil {
		return ref
	}
	r, err := b.Parse(ref)
	if err != nil {
		return ref
	}
	return strings.TrimSuffix(r.String(), "#")
}

// read adds the document of a file, and the names in it.
func (l *loader) read(uri string) error {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "file" {
		return fmt.Errorf("%s is no file, and nothing is fetched from the network", uri)
	}
	if len(l.documents) >= maxFiles {
		return fmt.Errorf("more than %d files", maxFiles)
	}
	f, err := os.Open(filepath.FromSlash(u.Path))
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("more than %d bytes", maxFile)
	}
	var v any
	if err == nil {
		v, err = payload.ParseJSON(b)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(u.Path), err)
	}
	l.documents[uri] = v
	if _, isBool := v.(bool); !isBool {
		if _, isObject := v.(payload.Object); !isObject {
			return fmt.Errorf("%s: a schema is an object, or true or false", filepath.Base(u.Path))
		}
	}
	l.names(v, place{document: uri, base: uri})
	return nil
}

// names remembers identifiers and anchors of v and of all that is in it.
func (l *loader) names(v any, at place) {
	switch v := v.(type) {
	case payload.Object:
		if id, ok := text(v, "$id"); ok {
			at.base = resolve(at.base, id)
			l.anchors[at.base] = at
		}
		for _, key := range []string{"$anchor", "$dynamicAnchor"} {
			if name, ok := text(v, key); ok {
				l.anchors[strings.SplitN(at.base, "#", 2)[0]+"#"+name] = at
			}
		}
		for _, m := range v {
			if m.Name != "enum" && m.Name != "const" {
				l.names(m.Value, at.below(m.Name))
			}
		}
	case []any:
		for i, e := range v {
			l.names(e, at.below(strconv.Itoa(i)))
		}
	}
}

// below is the place of a member.
func (p place) below(name string) place {
	p.pointer += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	return p
}

// refer finds the schema that ref, in a schema at from, is.
func (l *loader) refer(from place, ref string) (*node, error) {
	target := resolve(from.base, ref)
	document, fragment, _ := strings.Cut(target, "#")
	if at, ok := l.anchors[target]; ok {
		return l.at(at)
	}
	at, named := l.anchors[document]
	switch {
	case named:
	case document == strings.SplitN(from.base, "#", 2)[0]:
		at = place{document: from.document, base: l.baseOf(from.document)}
	default:
		if _, ok := l.documents[document]; !ok {
			if err := l.read(document); err != nil {
				return nil, fmt.Errorf("$ref %q: %w", ref, err)
			}
		}
		at = place{document: document, base: l.baseOf(document)}
	}
	if at, ok := l.anchors[target]; ok {
		return l.at(at)
	}
	fragment, err := url.PathUnescape(fragment)
	if err != nil || fragment != "" && fragment[0] != '/' {
		return nil, fmt.Errorf("$ref %q: there is no such anchor", ref)
	}
	at, err = l.follow(at, fragment)
	if err != nil {
		return nil, fmt.Errorf("$ref %q: %w", ref, err)
	}
	return l.at(at)
}

// follow goes along a JSON pointer (RFC 6901).
func (l *loader) follow(at place, pointer string) (place, error) {
	for _, word := range tokens(pointer) {
		at = at.below(word)
		v, err := l.value(at)
		if err != nil {
			return at, err
		}
		if o, ok := v.(payload.Object); ok {
			if id, ok := text(o, "$id"); ok {
				at.base = resolve(at.base, id)
			}
		}
	}
	return at, nil
}

// tokens are the words of a JSON pointer.
func tokens(pointer string) []string {
	if pointer == "" {
		return nil
	}
	all := strings.Split(pointer[1:], "/")
	for i := range all {
		all[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(all[i])
	}
	return all
}

// value is what stands at a place.
func (l *loader) value(at place) (any, error) {
	v := l.documents[at.document]
	for _, word := range tokens(at.pointer) {
		switch list := v.(type) {
		case payload.Object:
			member, ok := list.Get(word)
			if !ok {
				return nil, fmt.Errorf("there is no %s", at.pointer)
			}
			v = member
		case []any:
			i, err := strconv.Atoi(word)
			if err != nil || i < 0 || i >= len(list) {
				return nil, fmt.Errorf("there is no %s", at.pointer)
			}
			v = list[i]
		default:
			return nil, fmt.Errorf("there is no %s", at.pointer)
		}
	}
	return v, nil
}

// at is the node of a place, made when it is first asked for.
func (l *loader) at(p place) (*node, error) {
	v, err := l.value(p)
	if err != nil {
		return nil, err
	}
	if o, ok := v.(payload.Object); ok {
		if id, ok := text(o, "$id"); ok && p.pointer != "" {
			p.base = resolve(p.base, id)
		}
	}
	if n := l.nodes[p]; n != nil {
		return n, nil
	}
	n := newNode()
	l.nodes[p] = n
	if err := l.fill(n, v, p); err != nil {
		if where := (*located)(nil); errors.As(err, &where) {
			return nil, err
		}
		return nil, &located{"#" + p.pointer, err}
	}
	return n, nil
}

// located says in which schema something is wrong.
type located struct {
	pointer string
	err     error
}

func (l *located) Error() string { return l.pointer + ": " + l.err.Error() }
func (l *located) Unwrap() error { return l.err }
