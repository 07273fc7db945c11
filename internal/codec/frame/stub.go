package frame

import (
	"errors"
	"time"
)

var errSoon = errors.New("not there yet")

type framing struct {
	maxFrame int
	idleGap  time.Duration
}
type (
	message       struct{}
	downlink      struct{ topic topicTemplate }
	vector        struct{}
	topicTemplate struct{ text string }
	field         struct {
		time *timeFormat
		unit string
	}
)
type (
	timeFormat struct{ zone *time.Location }
	template   struct{}
	variant    struct{}
)

func (r *Record) text(v *Value) []byte { return v.Text }

// Parse compiles a definition. name is how errors call the file. The error
// joins everything that is wrong, each with its line.
func Parse(name string, src []byte) (*Codec, error) { return nil, errSoon }

// Decode reads a frame of dir into r. The error is a *DecodeError; r then holds what was read before it.
func (c *Codec) Decode(f Frame, dir Direction, r *Record) error { return errSoon }

// AppendJSON appends the record as a JSON object: {"message":"login","imei":"..."}.
func (r *Record) AppendJSON(dst []byte) []byte { return dst }

// Reply appends what the definition answers to the decoded frame; false if that is nothing.
func (c *Codec) Reply(dst []byte, r *Record, env Env) ([]byte, bool, error) {
	return dst, false, errSoon
}

// Refuse appends what the definition answers when the device is not welcome; false if that is nothing.
func (c *Codec) Refuse(dst []byte, r *Record, env Env) ([]byte, bool, error) {
	return dst, false, errSoon
}

// Encode appends the frame that downlink.encode makes of an MQTT payload.
func (c *Codec) Encode(dst, payload []byte, env Env) ([]byte, error) { return dst, errSoon }

// AppendTopic appends the topic that the record is published to. deviceID is
// used where the record carries none. Values that cannot be one topic level are refused.
func (c *Codec) AppendTopic(dst []byte, r *Record, deviceID string) ([]byte, error) {
	return dst, errSoon
}

// AppendPayload appends the payload that Uplink describes.
func (c *Codec) AppendPayload(dst []byte, r *Record) []byte { return dst }

// AppendDownlinkTopic appends the topic for commands to a device, "" if the definition has none.
func (c *Codec) AppendDownlinkTopic(dst []byte, deviceID string) ([]byte, error) { return dst, errSoon }

// CheckLevel refuses text that is not one level of a topic name: empty, with + # / or NUL, or not UTF-8.
func CheckLevel(text []byte) error { return errSoon }
