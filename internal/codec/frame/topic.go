package frame

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// topicTemplate is a topic with ${variables}.
type topicTemplate struct {
	text  string
	parts []topicPart
}

type topicPart struct {
	literal string
	what    topicVariable
	slot    int
	name    string
}

type topicVariable uint8

const (
	topicLiteral topicVariable = iota
	topicDevice
	topicMessage
	topicField
)

// maxTopic is what MQTT can carry.
const maxTopic = 65535

// CheckLevel refuses text that is not one level of a topic name: empty, with
// + # / or NUL, or not UTF-8.
func CheckLevel(text []byte) error {
	switch {
	case len(text) == 0:
		return errors.New("an empty value cannot be a topic level")
	case bytes.ContainsAny(text, "+#/\x00"):
		return fmt.Errorf("%q cannot be a topic level: it holds one of + # / NUL", text)
	case !utf8.Valid(text):
		return fmt.Errorf("%q cannot be a topic level: it is not UTF-8", text)
	}
	return nil
}

// AppendTopic appends the topic that the record is published to. deviceID is
// used where the record carries none. Values that cannot be one level of a
// topic are refused; see [CheckLevel].
func (c *Codec) AppendTopic(dst []byte, r *Record, deviceID string) ([]byte, error) {
	return c.uplink.topic.append(dst, r, deviceID)
}

// AppendDownlinkTopic appends the topic for commands to a device.
func (c *Codec) AppendDownlinkTopic(dst []byte, deviceID string) ([]byte, error) {
	return c.down.topic.append(dst, nil, deviceID)
}

func (t *topicTemplate) append(dst []byte, r *Record, deviceID string) ([]byte, error) {
	base := len(dst)
	for i := range t.parts {
		p := &t.parts[i]
		from := len(dst)
		switch p.what {
		case topicLiteral:
			dst = append(dst, p.literal...)
			continue
		case topicDevice:
			var id []byte
			if r != nil {
				id = r.DeviceID()
			}
			if dst = append(dst, id...); len(id) == 0 {
				dst = append(dst, deviceID...)
			}
		case topicMessage:
			dst = append(dst, r.Message...)
		case topicField:
			if v := r.at(p.slot); v != nil {
				dst = append(dst, r.text(v)...)
			}
		}
		if err := CheckLevel(dst[from:]); err != nil {
			return dst[:base], fmt.Errorf("topic %s: %s: %w", t.text, p.name, err)
		}
		if i == 0 && dst[from] == '$' {
			return dst[:base], fmt.Errorf("topic %s: %s: %q cannot begin a topic: those with $ are the broker's", t.text, p.name, dst[from:])
		}
	}
	if len(dst)-base > maxTopic {
		return dst[:base], fmt.Errorf("topic %s: more than %d bytes", t.text, maxTopic)
	}
	return dst, nil
}

// AppendPayload appends the payload that [Uplink] describes.
func (c *Codec) AppendPayload(dst []byte, r *Record) []byte {
	switch c.uplink.Payload {
	case PayloadRaw:
		return append(dst, r.frame.Data...)
	case PayloadHex:
		return appendHex(dst, r.frame.Data, lowerHex)
	case PayloadField:
		v := r.at(c.uplink.field)
		switch {
		case v == nil:
			return dst
		case v.Kind == Hex || v.Kind == Base64 || v.Kind == String:
			return append(dst, v.Text...)
		}
		return r.appendValue(dst, int(r.slot[c.uplink.field])-1)
	}
	return r.AppendJSON(dst)
}

// topic reads a template such as gt06/${device_id}/${message}.
func (l *loader) topic(n *yaml.Node, what string, down bool) topicTemplate {
	t := topicTemplate{text: n.Value}
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		l.errorf(n, "%s: want a topic such as gt06/${device_id}/${message}, have %s", what, describe(n))
		return t
	}
	for s := n.Value; s != ""; {
		i := strings.Index(s, "${")
		if i < 0 {
			i = len(s)
		}
		if i > 0 {
			t.parts = append(t.parts, topicPart{literal: s[:i]})
			if strings.ContainsAny(s[:i], "+#\x00") || !utf8.ValidString(s) {
				l.errorf(n, "%s: %q: a topic that is published to has no + # or NUL", what, n.Value)
			}
			if len(t.parts) == 1 && s[0] == '$' {
				l.errorf(n, "%s: %q: topics that begin with $ are the broker's", what, n.Value)
			}
			s = s[i:]
			continue
		}
		end := strings.IndexByte(s, '}')
		if end < 0 {
			l.errorf(n, "%s: %q has no closing }", what, s)
			return t
		}
		t.parts = append(t.parts, topicPart{name: s[2:end]})
		s = s[end+1:]
	}
	for i := range t.parts {
		p := &t.parts[i]
		switch {
		case p.literal != "":
		case p.name == "device_id":
			p.what = topicDevice
		case p.name == "codec":
			p.literal = l.codec
		case down:
			l.errorf(n, "%s: ${%s}: only ${device_id} and ${codec} are known here", what, p.name)
		case p.name == "message":
			p.what = topicMessage
		default:
			p.what = topicField
			l.refer(n, p.name, scope{}, &p.slot, "device_id", "message", "codec")
		}
	}
	return t
}
