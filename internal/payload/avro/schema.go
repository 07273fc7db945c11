package avro

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/iotctl/iotctl/internal/payload"
)

type kind uint8

const (
	nullKind kind = iota
	booleanKind
	intKind
	longKind
	floatKind
	doubleKind
	bytesKind
	stringKind
	recordKind
	enumKind
	fixedKind
	arrayKind
	mapKind
	unionKind
)

var kindNames = [...]string{
	"null", "boolean", "int", "long", "float", "double", "bytes", "string",
	"record", "enum", "fixed", "array", "map", "union",
}

func (k kind) String() string { return kindNames[k] }

type schema struct {
	kind     kind
	name     string // of records, enums and fixed, with the namespace
	fields   []field
	symbols  []string
	size     int // of fixed
	items    *schema
	branches []*schema
	logical  logical
	scale    int // of decimals
}

type field struct {
	name     string
	schema   *schema
	fallback any // the default, as Avro's JSON has it
	optional bool
}

// branch is the name of s in a union.
func (s *schema) branch() string {
	if s.name != "" {
		return s.name
	}
	return s.kind.String()
}

// only is the branch of a union that is not null, if there is but one.
func (s *schema) only() *schema {
	var found *schema
	for _, b := range s.branches {
		if b.kind == nullKind {
			continue
		}
		if found != nil {
			return nil
		}
		found = b
	}
	return found
}

// parser reads the schema of one file.
type parser struct {
	known map[string]*schema // types of files before
	own   map[string]*schema
}

func (p *parser) parse(b []byte) (*schema, error) {
	v, err := payload.ParseJSON(b)
	if err != nil {
		return nil, err
	}
	return p.schema("schema", "", v)
}

func (p *parser) schema(where, namespace string, v any) (*schema, error) {
	switch v := v.(type) {
	case string:
		return p.named(where, namespace, v)
	case []any:
		return p.union(where, namespace, v)
	case payload.Object:
		return p.object(where, namespace, v)
	}
	return nil, payload.Wrong(where, "a type is a name, an array or an object")
}

// named is a primitive type, or one that was defined before.
func (p *parser) named(where, namespace, name string) (*schema, error) {
	if i := slices.Index(kindNames[:recordKind], name); i >= 0 {
		return &schema{kind: kind(i)}, nil
	}
	for _, full := range []string{join(namespace, name), name} {
		if s, ok := p.own[full]; ok {
			return s, nil
		}
		if s, ok := p.known[full]; ok {
			return s, nil
		}
	}
	return nil, payload.Wrong(where, "there is no type %q: name the file that has it before this one", name)
}

func join(namespace, name string) string {
	if namespace == "" || strings.Contains(name, ".") {
		return name
	}
	return namespace + "." + name
}

func (p *parser) union(where, namespace string, list []any) (*schema, error) {
	s := &schema{kind: unionKind}
	var seen []string
	for i, v := range list {
		at := fmt.Sprintf("%s[%d]", where, i)
		b, err := p.schema(at, namespace, v)
		switch {
		case err != nil:
			return nil, err
		case b.kind == unionKind:
			return nil, payload.Wrong(at, "a union within a union")
		case slices.Contains(seen, b.branch()):
			return nil, payload.Wrong(at, "%s is in the union twice", b.branch())
		}
		seen = append(seen, b.branch())
		s.branches = append(s.branches, b)
	}
	if len(s.branches) == 0 {
		return nil, payload.Wrong(where, "a union of no types")
	}
	return s, nil
}

func (p *parser) object(where, namespace string, o payload.Object) (s *schema, err error) {
	of, ok := o.Get("type")
	if !ok {
		return nil, payload.Wrong(where, "the member type is missing")
	}
	name, isName := of.(string)
	switch {
	case !isName:
		return p.schema(where, namespace, of)
	case name == "record" || name == "error":
		return p.record(where, namespace, o)
	case name == "enum":
		return p.enum(where, namespace, o)
	case name == "fixed":
		return p.fixed(where, namespace, o)
	case name == "array" || name == "map":
		member := map[string]string{"array": "items", "map": "values"}[name]
		s = &schema{kind: arrayKind}
		if name == "map" {
			s.kind = mapKind
		}
		of, ok := o.Get(member)
		if !ok {
			return nil, payload.Wrong(where, "the member %s is missing", member)
		}
		s.items, err = p.schema(where+"."+member, namespace, of)
		return s, err
	}
	if s, err = p.named(where, namespace, name); err == nil && s.name == "" {
		s.annotate(o)
	}
	return s, err
}

// define gives s its full name, before what it holds is read: types may refer to
// themselves.
func (p *parser) define(where, namespace string, o payload.Object, s *schema) (inner string, err error) {
	name := text(o, "name")
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		namespace = name[:i]
	} else if v, ok := o.Get("namespace"); ok {
		namespace, _ = v.(string)
	}
	s.name = join(namespace, name)
	for word := range strings.SplitSeq(s.name, ".") {
		if !isName(word) {
			return "", payload.Wrong(where, "%q is no name of a type", s.name)
		}
	}
	if _, ok := p.own[s.name]; ok {
		return "", payload.Wrong(where, "%s is defined twice", s.name)
	}
	p.own[s.name] = s
	return namespace, nil
}

func isName(s string) bool {
	for i, c := range []byte(s) {
		letter := c == '_' || 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

func text(o payload.Object, name string) string {
	v, _ := o.Get(name)
	s, _ := v.(string)
	return s
}

func (p *parser) record(where, namespace string, o payload.Object) (*schema, error) {
	s := &schema{kind: recordKind}
	namespace, err := p.define(where, namespace, o, s)
	if err != nil {
		return nil, err
	}
	v, _ := o.Get("fields")
	list, ok := v.([]any)
	if !ok {
		return nil, payload.Wrong(where, "the member fields is missing")
	}
	seen := map[string]bool{}
	for i, v := range list {
		at := fmt.Sprintf("%s.fields[%d]", where, i)
		o, _ := v.(payload.Object)
		f := field{name: text(o, "name")}
		of, ok := o.Get("type")
		if !ok || !isName(f.name) || seen[f.name] {
			return nil, payload.Wrong(at, "a field has a name of its own and a type")
		}
		seen[f.name] = true
		if f.schema, err = p.schema(at+".type", namespace, of); err != nil {
			return nil, err
		}
		f.fallback, f.optional = o.Get("default")
		s.fields = append(s.fields, f)
	}
	return s, nil
}

func (p *parser) enum(where, namespace string, o payload.Object) (*schema, error) {
	s := &schema{kind: enumKind}
	if _, err := p.define(where, namespace, o, s); err != nil {
		return nil, err
	}
	v, _ := o.Get("symbols")
	list, _ := v.([]any)
	for _, v := range list {
		symbol, _ := v.(string)
		if !isName(symbol) || slices.Contains(s.symbols, symbol) {
			return nil, payload.Wrong(where, "%s is no symbol", payload.AppendJSON(nil, v))
		}
		s.symbols = append(s.symbols, symbol)
	}
	if len(s.symbols) == 0 {
		return nil, payload.Wrong(where, "the member symbols is missing")
	}
	return s, nil
}

func (p *parser) fixed(where, namespace string, o payload.Object) (*schema, error) {
	s := &schema{kind: fixedKind}
	if _, err := p.define(where, namespace, o, s); err != nil {
		return nil, err
	}
	size, ok := number(o, "size")
	if !ok || size < 0 || size > payload.MaxBytes {
		return nil, payload.Wrong(where, "a fixed type has a size of 0 to %d", payload.MaxBytes)
	}
	s.size = size
	s.annotate(o)
	return s, nil
}

func number(o payload.Object, name string) (int, bool) {
	v, _ := o.Get(name)
	n, _ := v.(json.Number)
	i, err := strconv.Atoi(string(n))
	return i, err == nil
}
