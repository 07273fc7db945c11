package frame

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Direction is who sent a frame. Captures do not always know.
type Direction uint8

// Directions.
const (
	Any  Direction = iota // unknown: cases of both directions are tried in their order
	Up                    // from the device
	Down                  // to the device
)

func (d Direction) String() string {
	return [...]string{"any", "up", "down"}[d]
}

// Codec is a compiled definition. It never changes.
type Codec struct {
	name    string
	doc     string
	framing framing
	plan    *message // what every frame goes through
	slots   int      // how many fields can be referred to
	session Session
	uplink  Uplink
	down    downlink
	vectors []vector

	messages  []*message // all of them, for reports
	templates []*template
}

//go:embed definitions/*.yaml
var definitions embed.FS

// Builtin lists the names of the definitions that come with the program, sorted.
func Builtin() []string {
	entries, _ := definitions.ReadDir("definitions")
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
}

// Source returns the YAML of a definition that comes with the program.
func Source(name string) ([]byte, error) {
	src, err := definitions.ReadFile("definitions/" + name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("no codec %q: there are %s", name, strings.Join(Builtin(), ", "))
	}
	return src, nil
}

// Open compiles a definition that comes with the program.
func Open(name string) (*Codec, error) {
	src, err := Source(name)
	if err != nil {
		return nil, err
	}
	return Parse(name+".yaml", src)
}

// Name is the codec's own name for itself: gt06.
func (c *Codec) Name() string { return c.name }

// Identifies reports whether some message carries the name of the device.
// Where none does, the gateway has to name it.
func (c *Codec) Identifies() bool {
	return slices.ContainsFunc(c.messages, func(m *message) bool { return m.device >= 0 })
}

// Doc is the line that says what the codec is for.
func (c *Codec) Doc() string { return c.doc }

// MaxFrame is the longest frame in bytes, its markers included.
func (c *Codec) MaxFrame() int { return c.framing.maxFrame }

// IdleGap is the silence after which what has been received is a frame
// ([Splitter.Gap]), 0 if silence means nothing.
func (c *Codec) IdleGap() time.Duration { return c.framing.idleGap }

// Session is what the definition says about the life of a connection. It does
// not change anything in the codec: the gateway acts on it.
type Session struct {
	Require     []string      // messages of which one must come before any other is published; none: no login
	Before      []string      // messages that are answered, not published, while Require is open (a registration)
	IdleTimeout time.Duration // without any frame; 0: the gateway's default
	Keepalive   Keepalive
	Password    string // the field that a device authenticates with, "" for none

	password int // its slot
}

// Keepalive is a promise to send one of Messages within each Timeout.
type Keepalive struct {
	Messages []string
	Timeout  time.Duration // 0: nothing is expected
}

// Payload is what an uplink message carries.
type Payload uint8

// Payloads.
const (
	PayloadJSON  Payload = iota // the record as an object
	PayloadRaw                  // the frame's bytes after strip and unescape
	PayloadHex                  // the same in lower-case hex
	PayloadField                // one field: text and bytes as they are, the others as JSON
)

// Uplink says what becomes of a decoded frame. Topic "" publishes nothing.
type Uplink struct {
	Topic   string // template: gt06/${device_id}/${message}
	Payload Payload
	QoS     byte
	Retain  bool

	topic topicTemplate
	field int // slot for PayloadField
}

// Session returns the session rules.
func (c *Codec) Session() Session { return c.session }

// Uplink returns where and how decoded frames are published.
func (c *Codec) Uplink() Uplink { return c.uplink }

// DownlinkTopic is the template of the topic whose messages are encoded for
// the device, "" if there is none.
func (c *Codec) DownlinkTopic() string { return c.down.topic.text }

// Env is what a template may use beside the fields. The zero value is valid.
type Env struct {
	Now      time.Time
	Seq      uint32 // counts the frames that the gateway has sent on this connection
	DeviceID string
}
