package payload

import (
	"fmt"
	"mime"
	"strings"
)

// Guess is what the labels of auto end in.
const Guess = " (guess)"

// Auto is the format auto: it takes the first of formats that says the payload
// may be its own, by content type before anything else. What was guessed ends in
// " (guess)" in the label.
func Auto(formats []Format) Format {
	return Format{
		Name:    "auto",
		About:   "a guess by content type and content, labelled as one",
		Example: "auto",
		New:     func(string) (Codec, error) { return &auto{formats, map[string]Codec{}}, nil },
	}
}

// autoPacked bounds how often what is packed is packed again.
const autoPacked = 3

type auto struct {
	formats []Format
	codecs  map[string]Codec // made when first needed, as they may keep state
}

func (a *auto) Decode(c *Content) error {
	names, err := a.decode(c, 0)
	c.Label = strings.Join(names, "|") + Guess
	return err
}

func (a *auto) decode(c *Content, packed int) (names []string, err error) {
	try := func(f *Format) bool {
		if f.Kind == Checks || f.Name == "auto" || f.Kind == Packs && packed >= autoPacked {
			return false
		}
		t := *c
		t.Notes = nil
		codec, err := a.codec(f)
		if err != nil {
			return false
		}
		if err := codec.Decode(&t); err != nil {
			return false
		}
		names = []string{f.Name}
		if f.Kind == Packs {
			t.ContentType = ""
			inner, err := a.decode(&t, packed+1)
			if err != nil {
				return false
			}
			names = append(names, inner...)
		}
		c.Bytes, c.Value, c.Text, c.Notes = t.Bytes, t.Value, t.Text, append(c.Notes, t.Notes...)
		return true
	}
	for i := range a.formats {
		if f := &a.formats[i]; f.is(c.ContentType) {
			if try(f) {
				return names, nil
			}
			c.Notes = append(c.Notes, fmt.Sprintf("content type %s, but that it is not", c.ContentType))
		}
	}
	for i := range a.formats {
		if f := &a.formats[i]; f.Guess != nil && f.Guess(c) && try(f) {
			return names, nil
		}
	}
	return []string{"nothing"}, Malformedf(0, "nothing that is known")
}

func (a *auto) codec(f *Format) (Codec, error) {
	if c := a.codecs[f.Name]; c != nil {
		return c, nil
	}
	c, err := f.New("")
	if err == nil {
		a.codecs[f.Name] = c
	}
	return c, err
}

// Encode takes what was typed as it is: there is nothing to guess by.
func (a *auto) Encode(c *Content) error {
	if c.Text == nil {
		c.Bytes = AppendJSON(nil, c.Value)
		return nil
	}
	c.Bytes = c.Text
	return nil
}

// is reports whether contentType is one of the format.
func (f *Format) is(contentType string) bool {
	if contentType == "" {
		return false
	}
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		kind = strings.ToLower(contentType)
	}
	for _, t := range f.Types {
		wide, isWide := strings.CutSuffix(t, "*")
		if kind == t || t[0] == '+' && strings.HasSuffix(kind, t) || isWide && strings.HasPrefix(kind, wide) {
			return true
		}
	}
	return false
}
