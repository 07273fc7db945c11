// Package schema is the format schema: a step that checks a value by a JSON
// Schema, 2020-12 or draft 7.
//
// Numbers are compared with every digit, problems name the member of the value,
// and what a schema may cost is bounded: 10 problems, 512 schemas in each other, 4
// million steps. References go to the same document and to files beside it, never
// to the network. $dynamicRef is taken as $ref. Of format date-time, date, ipv4,
// ipv6 and uuid are checked. Patterns are those of RE2: no look-around, no
// references back. Why no library does it: internal/doc/adr/0020.
package schema

import (
	"errors"
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/payload"
)

// Format is the format schema.
func Format() payload.Format {
	return payload.Format{
		Name: "schema", Kind: payload.Checks, Args: ":FILE",
		About:   "check the value by a JSON Schema (2020-12, draft 7)",
		Example: "json|schema:FILE",
		New: func(file string) (payload.Codec, error) {
			if file == "" {
				return nil, errors.New("the file of the schema is missing, as in json|schema:reading.schema.json")
			}
			s, err := Load(file)
			if err != nil {
				return nil, err
			}
			return codec{s}, nil
		},
	}
}

type codec struct{ s *Schema }

func (d codec) Decode(c *payload.Content) error { return d.s.Validate(c.Value) }

func (d codec) Encode(c *payload.Content) error { return d.Decode(c) }

// Schema checks values. It is used by one goroutine at a time.
type Schema struct {
	root       *node
	unassessed bool // some schema asks what others have not looked at
}

// Problem is what is wrong with a value.
type Problem struct {
	Where  string // path of the member, "" = the value itself
	Reason string
}

// Invalid is all that is wrong with a value, up to a limit.
type Invalid struct{ Problems []Problem }

const maxProblems = 10

func (i *Invalid) Error() string {
	var b strings.Builder
	for n, p := range i.Problems {
		if n > 0 {
			b.WriteString("; ")
		}
		where := p.Where
		if where == "" {
			where = "the value"
		}
		fmt.Fprintf(&b, "%s %s", where, p.Reason)
	}
	if len(i.Problems) == maxProblems {
		b.WriteString("; and perhaps more")
	}
	return b.String()
}

// Validate checks v, a value of payload.Content. What is wrong is an *Invalid.
func (s *Schema) Validate(v any) error {
	r := run{notes: s.unassessed}
	r.check(s.root, v, "", nil)
	if r.err != nil {
		return r.err
	}
	if len(r.problems) > 0 {
		return &Invalid{r.problems}
	}
	return nil
}
