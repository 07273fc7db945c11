package mqtt

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// captures is the directory of recordings and vectors that other programs
// made: beside the repository, or where IOTCTL_CAPTURES says.
func captures(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("IOTCTL_CAPTURES")
	if dir == "" {
		dir = filepath.Join(repositoryRoot(t), "..", "shared", "captures")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no captures: %v", err)
	}
	return dir
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		t.Skipf("no captures: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// decoded is a packet as the npm package mqtt-packet reads it.
type decoded struct {
	Cmd             string
	Retain, Dup     bool
	QoS             uint8
	ProtocolID      string
	ProtocolVersion uint8
	BridgeMode      bool
	Clean           bool
	KeepAlive       uint16
	ClientID        string
	Will            *struct {
		Retain     bool
		QoS        uint8
		Properties ordered
		Topic      string
		Payload    blob
	}
	Username       *string
	Password       *blob
	Properties     ordered
	SessionPresent bool
	ReturnCode     uint8
	ReasonCode     uint8
	Topic          string
	Payload        blob
	MessageID      uint16
	Subscriptions  []struct {
		Topic   string
		QoS     uint8
		NL, RAP bool
		RH      uint8
	}
	Unsubscriptions []string
	Granted         []ReasonCode
}

// blob is bytes, or for long ones a digest.
type blob struct {
	b      []byte
	size   int
	sha256 string
}

func (p *blob) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil {
		p.b = []byte(s)
		return nil
	}
	var v struct {
		Hex    *string `json:"$hex"`
		Len    int
		SHA256 string
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	if v.Hex == nil {
		p.size, p.sha256 = v.Len, v.SHA256
		return nil
	}
	var err error
	p.b, err = hex.DecodeString(*v.Hex)
	return err
}

// or is the bytes, or got where those have the digest.
func (p blob) or(got []byte) []byte {
	sum := sha256.Sum256(got)
	if p.sha256 != "" && len(got) == p.size && hex.EncodeToString(sum[:]) == p.sha256 {
		return got
	}
	return p.b
}

// ordered is a JSON object of properties, put back into bytes in its order.
type ordered Properties

var capital = regexp.MustCompile(`([a-z])([A-Z])`)

func (p *ordered) UnmarshalJSON(data []byte) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		if key == "userProperties" {
			if err := p.user(raw); err != nil {
				return err
			}
			continue
		}
		name := strings.NewReplacer("QoS", "Qos", "Identifiers", "Identifier").Replace(key.(string))
		id, ok := PropertyByName(strings.ToLower(capital.ReplaceAllString(name, "$1-$2")))
		if !ok {
			return fmt.Errorf("property %q", key)
		}
		if raw[0] != '[' {
			raw = append(append(json.RawMessage("["), raw...), ']')
		}
		var values []json.RawMessage
		if err := json.Unmarshal(raw, &values); err != nil {
			return err
		}
		for _, v := range values {
			if err := p.add(id, v); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *ordered) add(id PropertyID, raw json.RawMessage) error {
	q := Property{ID: id}
	switch string(raw) {
	case "true":
		q.Num = 1
	case "false":
	default:
		if id.Wire() == WireString || id.Wire() == WireBytes {
			var b blob
			if err := json.Unmarshal(raw, &b); err != nil {
				return err
			}
			q.Bytes = b.b
		} else {
			var n int64 // 4294967295 comes as -1
			if err := json.Unmarshal(raw, &n); err != nil {
				return err
			}
			q.Num = uint32(n)
		}
	}
	*p = ordered(Properties(*p).Append(q))
	return nil
}

func (p *ordered) user(raw json.RawMessage) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		var value any
		if err := dec.Decode(&value); err != nil {
			return err
		}
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		for _, v := range list {
			*p = ordered(Properties(*p).AppendUserProperty(key.(string), v.(string)))
		}
	}
	return nil
}

// packet is d in our types. got is what we read, for payloads of which only
// the digest is known.
func (d decoded) packet(v Version, got Packet) Packet {
	p := Properties(d.Properties)
	ack := ack{d.MessageID, ReasonCode(d.ReasonCode), p}
	switch d.Cmd {
	case "connect":
		return d.connect(p)
	case "connack":
		if v < V5 {
			return Connack{d.SessionPresent, ReasonCode(d.ReturnCode), p}
		}
		return Connack{d.SessionPresent, ReasonCode(d.ReasonCode), p}
	case "publish":
		read, _ := got.(Publish)
		return Publish{d.Dup, d.QoS, d.Retain, []byte(d.Topic), d.MessageID, p, d.Payload.or(read.Payload)}
	case "puback":
		return Puback(ack)
	case "pubrec":
		return Pubrec(ack)
	case "pubrel":
		return Pubrel(ack)
	case "pubcomp":
		return Pubcomp(ack)
	case "subscribe":
		s := Subscribe{PacketID: d.MessageID, Properties: p}
		for _, f := range d.Subscriptions {
			s.Filters = append(s.Filters, Subscription{f.Topic, f.QoS, f.NL, f.RAP, f.RH})
		}
		return s
	case "suback":
		return Suback{d.MessageID, p, d.Granted}
	case "unsubscribe":
		return Unsubscribe{d.MessageID, p, d.Unsubscriptions}
	case "unsuback":
		return Unsuback{d.MessageID, p, d.Granted}
	case "pingreq":
		return Pingreq{}
	case "pingresp":
		return Pingresp{}
	case "disconnect":
		return Disconnect{ReasonCode(d.ReasonCode), p}
	}
	return Auth{ReasonCode(d.ReasonCode), p}
}

func (d decoded) connect(p Properties) Packet {
	c := Connect{
		ProtocolName: d.ProtocolID, Version: Version(d.ProtocolVersion), Bridge: d.BridgeMode, CleanStart: d.Clean,
		KeepAlive: d.KeepAlive, Properties: p, ClientID: d.ClientID,
	}
	if w := d.Will; w != nil {
		c.Will = &Will{w.Topic, w.Payload.b, w.QoS, w.Retain, Properties(w.Properties)}
	}
	if d.Username != nil {
		c.HasUsername, c.Username = true, *d.Username
	}
	if d.Password != nil {
		c.HasPassword, c.Password = true, d.Password.b
	}
	return c
}
