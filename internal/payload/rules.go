package payload

import (
	"errors"
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/router"
)

// Rule says what the payloads of some topics are.
type Rule struct {
	Filter   string // topic filter; "" = every topic
	Pipeline string // steps between bars, as in "gzip|json"
}

// ParseRule reads FILTER=PIPELINE, as in sensors/+/raw=gzip|json, or a pipeline
// for every topic. Of a filter with an equals sign the profile has the place: the
// first one ends it here.
func ParseRule(s string) (Rule, error) {
	filter, pipeline, ok := strings.Cut(s, "=")
	if !ok {
		return Rule{Pipeline: strings.TrimSpace(s)}, nil
	}
	filter = strings.TrimSpace(filter)
	r := Rule{Filter: filter, Pipeline: strings.TrimSpace(pipeline)}
	if filter == "" {
		return r, errors.New("a topic filter is missing before the equals sign")
	}
	if err := router.ValidateFilter(filter); err != nil {
		return r, err
	}
	return r, nil
}

func (r Rule) String() string {
	if r.Filter == "" {
		return r.Pipeline
	}
	return r.Filter + "=" + r.Pipeline
}

// Rules decide by topic what a payload is. They are used by one goroutine at a
// time, as the codecs within.
type Rules struct{ all []rule }

type rule struct {
	filter string // without $share/group/; "" = every topic
	pipe   *Pipeline
}

// NewRules makes the codecs of rules. The first rule whose filter matches counts.
func NewRules(formats []Format, rules []Rule) (*Rules, error) {
	r := &Rules{}
	for _, one := range rules {
		pipe, err := NewPipeline(formats, one.Pipeline)
		if err != nil {
			return nil, fmt.Errorf("payload rule %q: %w", one, err)
		}
		filter := one.Filter
		if filter != "" {
			if err := router.ValidateFilter(filter); err != nil {
				return nil, fmt.Errorf("payload rule %q: %w", one, err)
			}
			if _, inner, shared, _ := router.SplitShared(filter); shared {
				filter = inner
			}
		}
		r.all = append(r.all, rule{filter, pipe})
	}
	return r, nil
}

// For is the pipeline of the first rule that is for topic, nil if none is. A nil
// *Rules has none.
func (r *Rules) For(topic string) *Pipeline {
	if r == nil {
		return nil
	}
	for _, one := range r.all {
		if one.filter == "" || router.Match(one.filter, topic) {
			return one.pipe
		}
	}
	return nil
}

// Decode reads b, the payload of a message, by the first rule for its topic.
// false: there is none, or b is empty and the format has nothing to say of that.
// With an error Label and Notes hold as far as they are known. The value may
// share memory with b.
func (r *Rules) Decode(topic, contentType string, b []byte) (Content, bool, error) {
	pipe := r.For(topic)
	if pipe == nil || len(b) == 0 && !pipe.empty {
		return Content{}, false, nil
	}
	c := Content{Topic: topic, ContentType: contentType, Bytes: b}
	err := pipe.Decode(&c)
	return c, true, err
}

// Encode makes a payload of what was typed, by the first rule for the topic.
// Without one it is what was typed.
func (r *Rules) Encode(topic, contentType string, typed []byte) ([]byte, error) {
	pipe := r.For(topic)
	if pipe == nil {
		return typed, nil
	}
	if typed == nil {
		typed = []byte{}
	}
	c := Content{Topic: topic, ContentType: contentType, Text: typed}
	if err := pipe.Encode(&c); err != nil {
		return nil, err
	}
	return c.Bytes, nil
}
