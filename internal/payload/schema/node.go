package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"

	"github.com/iotctl/iotctl/internal/payload"
)

// node is a schema. What is nil, or -1, asks for nothing.
type node struct {
	always *bool // the schemas true and false
	refs   []*node

	types                 []string
	enum, only            *values // enum, const
	multipleOf            *big.Rat
	least, most           *big.Rat
	above, below          *big.Rat
	minRunes              int
	maxRunes              int
	pattern               *regexp.Regexp
	format                string
	all, anyOf, one       []*node
	not                   *node
	when, then, otherwise *node // if, then, else

	first                 []*node // items at the beginning
	rest                  *node   // other items
	contains              *node
	minContains           int
	maxContains           int
	minItems, maxItems    int
	unique                bool
	unevaluatedItems      *node
	properties            map[string]*node
	patterns              []patterned
	additional            *node
	names                 *node
	required              []string
	needs                 map[string][]string // members that others need
	dependent             map[string]*node
	minMembers            int
	maxMembers            int
	unevaluatedProperties *node
}

type patterned struct {
	pattern *regexp.Regexp
	n       *node
}

// values are those that are allowed.
type values struct {
	shown string // for people
	keys  map[string]bool
}

func newValues(list []any) *values {
	s := &values{shown: "none of " + shown(list), keys: map[string]bool{}}
	if len(list) == 1 {
		s.shown = "not " + shown(list[0])
	}
	for _, v := range list {
		s.keys[canonical(v)] = true
	}
	return s
}

func newNode() *node {
	return &node{minRunes: -1, maxRunes: -1, minContains: -1, maxContains: -1, minItems: -1, maxItems: -1, minMembers: -1, maxMembers: -1}
}

// fill reads the keywords of v. Those that are unknown ask for nothing.
func (l *loader) fill(n *node, v any, at place) error {
	if b, ok := v.(bool); ok {
		n.always = &b
		return nil
	}
	o, ok := v.(payload.Object)
	if !ok {
		return errors.New("a schema is an object, or true or false")
	}
	draft7 := l.isDraft7(at)
	if ref, ok := text(o, "$ref"); ok {
		target, err := l.refer(at, ref)
		if err != nil {
			return err
		}
		n.refs = append(n.refs, target)
		if draft7 { // what stands beside it is ignored
			return nil
		}
	}
	for _, m := range o {
		if err := l.keyword(n, m.Name, m.Value, at, draft7); err != nil {
			if inner := (*located)(nil); errors.As(err, &inner) {
				return err
			}
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	if n.minContains >= 0 && n.contains == nil {
		n.minContains = -1
	}
	return nil
}

func (l *loader) isDraft7(at place) bool {
	o, _ := l.documents[at.document].(payload.Object)
	s, _ := text(o, "$schema")
	return strings.Contains(s, "draft-07") || strings.Contains(s, "draft-06") || strings.Contains(s, "draft-04")
}

func (l *loader) keyword(n *node, name string, v any, at place, draft7 bool) (err error) {
	here := at.below(name)
	switch name {
	case "$dynamicRef":
		s, ok := v.(string)
		if !ok {
			return errors.New("is no string")
		}
		var target *node
		target, err = l.refer(at, s)
		n.refs = append(n.refs, target)
	case "type":
		n.types, err = oneOrMore(v)
	case "enum":
		list, ok := v.([]any)
		if !ok {
			return errors.New("is no list")
		}
		n.enum = newValues(list)
	case "const":
		n.only = newValues([]any{v})
	case "multipleOf":
		n.multipleOf, err = number(v)
		if err == nil && n.multipleOf.Sign() <= 0 {
			err = errors.New("is not above 0")
		}
	case "minimum":
		n.least, err = number(v)
	case "maximum":
		n.most, err = number(v)
	case "exclusiveMinimum":
		n.above, err = number(v)
	case "exclusiveMaximum":
		n.below, err = number(v)
	case "minLength":
		n.minRunes, err = count(v)
	case "maxLength":
		n.maxRunes, err = count(v)
	case "minItems":
		n.minItems, err = count(v)
	case "maxItems":
		n.maxItems, err = count(v)
	case "minContains":
		n.minContains, err = count(v)
	case "maxContains":
		n.maxContains, err = count(v)
	case "minProperties":
		n.minMembers, err = count(v)
	case "maxProperties":
		n.maxMembers, err = count(v)
	case "pattern":
		n.pattern, err = pattern(v)
	case "format":
		n.format, _ = v.(string)
	case "uniqueItems":
		n.unique, _ = v.(bool)
	case "required":
		n.required, err = words(v)
	default:
		return l.applicator(n, name, v, at, here, draft7)
	}
	return err
}

// applicator reads keywords that have schemas in them.
func (l *loader) applicator(n *node, name string, v any, at, here place, draft7 bool) (err error) {
	switch name {
	case "allOf":
		n.all, err = l.list(v, here)
	case "anyOf":
		n.anyOf, err = l.list(v, here)
	case "oneOf":
		n.one, err = l.list(v, here)
	case "not":
		n.not, err = l.at(here)
	case "if":
		n.when, err = l.at(here)
	case "then":
		n.then, err = l.at(here)
	case "else":
		n.otherwise, err = l.at(here)
	case "prefixItems":
		n.first, err = l.list(v, here)
	case "items":
		if _, isList := v.([]any); isList { // draft 7
			n.first, err = l.list(v, here)
		} else {
			n.rest, err = l.at(here)
		}
	case "additionalItems":
		if items, _ := l.value(at.below("items")); draft7 {
			if _, isList := items.([]any); isList {
				n.rest, err = l.at(here)
			}
		}
	case "contains":
		n.contains, err = l.at(here)
	case "unevaluatedItems":
		l.schema.unassessed = true
		n.unevaluatedItems, err = l.at(here)
	case "properties":
		n.properties, err = l.table(v, here)
	case "patternProperties":
		o, ok := v.(payload.Object)
		if !ok {
			return errors.New("is no object")
		}
		for _, m := range o {
			p, err := pattern(m.Name)
			if err != nil {
				return err
			}
			kid, err := l.at(here.below(m.Name))
			if err != nil {
				return err
			}
			n.patterns = append(n.patterns, patterned{p, kid})
		}
	case "additionalProperties":
		n.additional, err = l.at(here)
	case "propertyNames":
		n.names, err = l.at(here)
	case "unevaluatedProperties":
		l.schema.unassessed = true
		n.unevaluatedProperties, err = l.at(here)
	case "dependentSchemas":
		n.dependent, err = l.table(v, here)
	case "dependentRequired", "dependencies":
		err = l.dependencies(n, v, here)
	}
	return err
}

func (l *loader) dependencies(n *node, v any, here place) error {
	o, ok := v.(payload.Object)
	if !ok {
		return errors.New("is no object")
	}
	for _, m := range o {
		if _, isList := m.Value.([]any); isList {
			all, err := words(m.Value)
			if err != nil {
				return err
			}
			if n.needs == nil {
				n.needs = map[string][]string{}
			}
			n.needs[m.Name] = all
			continue
		}
		kid, err := l.at(here.below(m.Name))
		if err != nil {
			return err
		}
		if n.dependent == nil {
			n.dependent = map[string]*node{}
		}
		n.dependent[m.Name] = kid
	}
	return nil
}

func (l *loader) list(v any, at place) ([]*node, error) {
	all, ok := v.([]any)
	if !ok || len(all) == 0 {
		return nil, errors.New("is no list of schemas")
	}
	nodes := make([]*node, len(all))
	for i := range all {
		var err error
		if nodes[i], err = l.at(at.below(fmt.Sprint(i))); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

func (l *loader) table(v any, at place) (map[string]*node, error) {
	o, ok := v.(payload.Object)
	if !ok {
		return nil, errors.New("is no object")
	}
	nodes := make(map[string]*node, len(o))
	for _, m := range o {
		var err error
		if nodes[m.Name], err = l.at(at.below(m.Name)); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

func number(v any) (*big.Rat, error) {
	n, _ := v.(json.Number)
	r, ok := payload.Rat(n)
	if !ok {
		return nil, errors.New("is no number, or too large")
	}
	return r, nil
}

func count(v any) (int, error) {
	r, err := number(v)
	if err != nil || !r.IsInt() || r.Sign() < 0 || !r.Num().IsInt64() {
		return 0, errors.New("is no count")
	}
	return int(min(r.Num().Int64(), payload.MaxBytes)), nil
}

func pattern(v any) (*regexp.Regexp, error) {
	s, ok := v.(string)
	if !ok {
		return nil, errors.New("is no string")
	}
	re, err := regexp.Compile(s)
	if err != nil {
		return nil, fmt.Errorf("%q is no pattern of RE2: %w", s, err)
	}
	return re, nil
}

func words(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, errors.New("is no list of strings")
	}
	all := make([]string, 0, len(list))
	for _, e := range list {
		s, ok := e.(string)
		if !ok {
			return nil, errors.New("is no list of strings")
		}
		all = append(all, s)
	}
	return all, nil
}

// oneOrMore reads a type, or several.
func oneOrMore(v any) ([]string, error) {
	all := []string{}
	if s, ok := v.(string); ok {
		all = append(all, s)
	} else {
		var err error
		if all, err = words(v); err != nil {
			return nil, err
		}
	}
	for _, t := range all {
		if !slices.Contains([]string{"null", "boolean", "object", "array", "number", "string", "integer"}, t) {
			return nil, fmt.Errorf("there is no type %q", t)
		}
	}
	return all, nil
}
