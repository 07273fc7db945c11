package payload

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Pipeline is the steps from a payload to its value.
type Pipeline struct {
	name  string
	steps []step // as Decode takes them
	reads int    // which of them reads
	empty bool
}

type step struct {
	name  string
	codec Codec
}

// NewPipeline makes the codecs of a pipeline such as "gzip|json": steps between
// bars, each the name of a format, and behind a colon its argument. The last one
// that is no check reads; without one it is auto.
func NewPipeline(formats []Format, text string) (*Pipeline, error) {
	p := &Pipeline{reads: -1}
	var names []string
	for word := range strings.SplitSeq(text, "|") {
		name, arg, _ := strings.Cut(strings.TrimSpace(word), ":")
		i := slices.IndexFunc(formats, func(f Format) bool { return f.Name == name })
		if i < 0 {
			return nil, &UnknownFormat{Name: name}
		}
		f := &formats[i]
		switch {
		case f.Kind == Packs && p.reads >= 0:
			return nil, fmt.Errorf("%s takes bytes, and %s has made a value of them", f.Name, names[p.reads])
		case f.Kind == Reads && p.reads >= 0:
			return nil, fmt.Errorf("%s and %s both read the payload", names[p.reads], f.Name)
		case f.Kind == Checks && p.reads < 0:
			return nil, fmt.Errorf("%s looks at a value, so it stands behind a format that reads one, as in json|%s", f.Name, strings.TrimSpace(word))
		case arg != "" && f.Args == "":
			return nil, fmt.Errorf("%s takes no argument, and %q is one", f.Name, arg)
		}
		codec, err := f.New(arg)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		if f.Kind == Reads {
			p.reads, p.empty = len(p.steps), f.Empty && len(p.steps) == 0
		}
		p.steps = append(p.steps, step{f.Name, codec})
		names = append(names, f.Name)
	}
	if p.reads < 0 {
		return nil, fmt.Errorf("%s only unpacks, so another has to follow, as in %[1]s|json or %[1]s|auto", strings.Join(names, "|"))
	}
	p.name = strings.Join(names, "|")
	return p, nil
}

// UnknownFormat is the name of a format that there is not.
type UnknownFormat struct{ Name string }

func (u *UnknownFormat) Error() string {
	if u.Name == "" {
		return "the name of a format is missing"
	}
	return fmt.Sprintf("there is no format %q", u.Name)
}

// Decode turns c.Bytes into c.Value and c.Text.
func (p *Pipeline) Decode(c *Content) error {
	c.Label = p.name
	given := c.Bytes
	defer func() { c.Bytes = given }()
	for i, s := range p.steps {
		if err := s.codec.Decode(c); err != nil {
			return p.wrap(s, err)
		}
		if i == p.reads && c.Label != p.name { // auto knows better
			before, after := p.names(0, i), p.names(i+1, len(p.steps))
			c.Label = strings.Join(slices.Concat(before, []string{c.Label}, after), "|")
		}
	}
	return nil
}

func (p *Pipeline) names(from, to int) (all []string) {
	for _, s := range p.steps[from:to] {
		all = append(all, s.name)
	}
	return all
}

// wrap says in which of several steps something is wrong.
func (p *Pipeline) wrap(s step, err error) error { return fmt.Errorf("%s: %w", s.name, err) }

// Encode turns c.Text, or c.Value, into c.Bytes. Steps that check see what a
// receiver would see.
func (p *Pipeline) Encode(c *Content) error {
	c.Label = p.name
	reads := p.steps[p.reads]
	if err := reads.codec.Encode(c); err != nil {
		return p.wrap(reads, err)
	}
	if p.reads+1 < len(p.steps) {
		seen := Content{Topic: c.Topic, ContentType: c.ContentType, Bytes: c.Bytes}
		for _, s := range p.steps[p.reads:] {
			if err := s.codec.Decode(&seen); err != nil {
				return p.wrap(s, err)
			}
		}
		c.Notes = append(c.Notes, seen.Notes...)
	}
	for _, s := range slices.Backward(p.steps[:p.reads]) {
		if err := s.codec.Encode(c); err != nil {
			return p.wrap(s, err)
		}
	}
	return nil
}

// ErrDecodeOnly is for formats that only read.
var ErrDecodeOnly = errors.New("can be read only")
