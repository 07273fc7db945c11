package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/payload"
)

// payloadSettings say what payloads are.
type payloadSettings struct {
	payloadRules  []payload.Rule
	strictPayload bool // what cannot be read is a failure
	// payloads decide by topic; nil without rules. Set by checkPayload.
	payloads *payload.Rules
}

func payloadOptions() []option {
	const (
		reading = progSub | progRR | progGet | progRequest | progReply | progTop
		writing = progPub
	)
	return []option{
		{
			long: "payload", progs: reading, names: ownName, arg: "rule", group: groupOutput,
			help: "read payloads as this says, as in 'sensors/+/raw=gzip|json', cbor or auto; repeatable, the first that fits counts; see iotctl help payloads",
			set:  (*settings).addPayloadRule,
		},
		{
			long: "payload", progs: writing, names: ownName, arg: "rule", group: groupMessage,
			help: "make payloads of what is typed as this says, as in 'sensors/+/raw=gzip|json' or cbor; repeatable, the first that fits counts; see iotctl help payloads",
			set:  (*settings).addPayloadRule,
		},
		{
			long: "strict-payload", progs: progSub | progGet | progRequest, names: ownName, group: groupOutput,
			help: "end with code 5 if a payload is not what --payload says",
			set:  func(s *settings, _ string) error { s.strictPayload = true; return nil },
		},
	}
}

func (s *settings) addPayloadRule(v string) error {
	r, err := payload.ParseRule(v)
	if err != nil {
		return err
	}
	s.payloadRules = append(s.payloadRules, r)
	return nil
}

// checkPayload makes s.payloads, before anything connects.
func (s *settings) checkPayload() (err error) {
	if len(s.payloadRules) > 0 {
		s.payloads, err = newPayloadRules(s.payloadRules)
	}
	return err
}

// newPayloadRules is payload.NewRules with hints.
func newPayloadRules(rules []payload.Rule) (*payload.Rules, error) {
	formats := payloads()
	r, err := payload.NewRules(formats, rules)
	if unknown := (*payload.UnknownFormat)(nil); errors.As(err, &unknown) {
		return nil, fail(exitUsage, err, append(unknownFormatHints(unknown.Name, formats), "iotctl payload list")...)
	}
	if err != nil {
		return nil, fail(exitUsage, err, "iotctl help payloads")
	}
	return r, nil
}

// unknownFormatHints guess what was meant by a format that there is not.
func unknownFormatHints(name string, formats []payload.Format) []string {
	switch {
	case strings.ContainsAny(name, "/#+"):
		return []string{fmt.Sprintf("a rule for topics is FILTER=PIPELINE, as in '%s=json'", name)}
	case strings.ContainsAny(name, " ,"):
		return []string{"steps stand between bars, as in 'gzip|json'"}
	}
	return didYouMean(name, func(yield func(string) bool) {
		for _, f := range formats {
			if !yield(f.Name) {
				return
			}
		}
	})
}
