package dissect

import (
	"encoding/hex"
	"fmt"
	"strings"
	"sync"

	"github.com/iotctl/iotctl/internal/codec/coap"
)

// draftReading is a message of CoAP as draft-ietf-core-coap-03 to -12 had it: the
// header counts the options, the token is one of them, and the payload follows
// without a marker.
type draftReading struct {
	newer   bool // draft 12, whose options have other numbers
	options []draftOption
	count   int
	end     int // of the options
	path    string
	token   string
}

// draftOption is an option of a draft.
type draftOption struct {
	name        string // "" for a jump or a fence
	number      int
	off, header int
	value       []byte
	text        bool
}

// draftNames are the options of drafts 3 to 11, then of 12: name, smallest and
// largest value, and whether it is text.
var draftNames = sync.OnceValue(func() [2]map[int]draftDefinition {
	return [2]map[int]draftDefinition{
		{
			1: {"Content-Type", 0, 2, false}, 2: {"Max-Age", 0, 4, false}, 3: {"Proxy-Uri", 1, 270, true}, 4: {"ETag", 1, 8, false},
			5: {"Uri-Host", 1, 270, true}, 6: {"Location-Path", 0, 270, true}, 7: {"Uri-Port", 0, 2, false}, 8: {"Location-Query", 0, 270, true},
			9: {"Uri-Path", 0, 270, true}, 10: {"Observe", 0, 3, false}, 11: {"Token", 1, 8, false}, 12: {"Accept", 0, 2, false},
			13: {"If-Match", 0, 8, false}, 15: {"Uri-Query", 0, 270, true}, 17: {"Block2", 0, 3, false}, 19: {"Block1", 0, 3, false},
			21: {"If-None-Match", 0, 0, false},
		},
		{
			1: {"If-Match", 0, 8, false}, 3: {"Uri-Host", 1, 255, true}, 4: {"ETag", 1, 8, false}, 5: {"If-None-Match", 0, 0, false},
			6: {"Observe", 0, 3, false}, 7: {"Uri-Port", 0, 2, false}, 8: {"Location-Path", 0, 255, true}, 11: {"Uri-Path", 0, 255, true},
			12: {"Content-Format", 0, 2, false}, 14: {"Max-Age", 0, 4, false}, 15: {"Uri-Query", 0, 255, true}, 16: {"Accept", 0, 2, false},
			19: {"Token", 1, 8, false}, 20: {"Location-Query", 0, 255, true}, 23: {"Block2", 0, 3, false}, 27: {"Block1", 0, 3, false},
			35: {"Proxy-Uri", 1, 1034, true},
		},
	}
})

type draftDefinition struct {
	name     string
	min, max int
	text     bool
}

// readDraft reads b as a message of a draft. ok only if its code is assigned, each
// of its options is known, and one of them is text that can be read.
func readDraft(b []byte) (d draftReading, ok bool) {
	if len(b) < coap.HeaderBytes || b[0]>>6 != 1 {
		return d, false
	}
	if c := coap.Code(b[1]); !c.Known() || !c.Request() && !c.Response() || c > coap.DELETE && c.Request() {
		return d, false
	}
	for _, d.newer = range []bool{false, true} {
		if d.read(b) {
			return d, true
		}
	}
	return d, false
}

// draftEnd ends options that are not counted.
const draftEnd = 0xf0

// read takes the options.
func (d *draftReading) read(b []byte) bool {
	names := draftNames()[0]
	if d.newer {
		names = draftNames()[1]
	}
	d.options, d.path, d.token, d.count = nil, "", "", int(b[0]&15)
	at, number, text := coap.HeaderBytes, 0, false
	for i := 0; i < d.count || d.count == 15; i++ {
		if at >= len(b) {
			return false
		}
		if d.count == 15 && b[at] == draftEnd {
			at++
			break
		}
		o := draftOption{off: at}
		number += int(b[at] >> 4)
		size := int(b[at] & 15)
		at++
		if size == 15 {
			if at >= len(b) {
				return false
			}
			size += int(b[at])
			at++
		}
		if len(b)-at < size {
			return false
		}
		o.header, o.number, o.value = at-o.off, number, b[at:at+size]
		at += size
		def, known := names[number]
		switch {
		case known && (size < def.min || size > def.max || def.text && !printable(o.value)):
			return false
		case known:
			o.name, o.text = def.name, def.text
		case d.newer || number%14 != 0 || size > 0: // a fence post is empty
			return false
		}
		switch o.name {
		case "Uri-Path", "Location-Path":
			d.path += "/" + string(o.value)
		case "Token":
			d.token = hex.EncodeToString(o.value)
		}
		text = text || o.text && size > 0
		d.options = append(d.options, o)
	}
	d.end = at
	return text
}

// packet is b as the draft reads it.
func (d *draftReading) packet(b []byte) Packet {
	draft := "draft 11 or older"
	if d.newer {
		draft = "draft 12"
	}
	code := coap.Code(b[1])
	p := Packet{Protocol: COAP{}.Name(), Version: draft, Type: code.String()}
	if code.Request() {
		p.Type = code.Name()
	}
	p.Summary = strings.TrimSpace(fmt.Sprintf("%s %v looks like CoAP draft 12 or older: %s", map[bool]string{false: code.Name()}[code.Request()], coap.Type(b[0]>>4&3), plain(d.path)))
	p.Problems = []Problem{{
		Len: 1, Text: fmt.Sprintf("written by %s, in which %d is the number of options; it cannot be read by the RFC", draft, d.count), Rule: "RFC 7252 §3",
		Advice: "A receiver answers a confirmable message with a Reset, and ignores others.",
	}}
	w := coapWalk{walk: walk{b: b}}
	w.add(Field{Name: "version, type, option count", Kind: Flags, Len: 1, Value: uint64(b[0]), Form: Unsigned, Note: fmt.Sprintf("1, %v, %d", coap.Type(b[0]>>4&3), d.count), Kids: []Field{
		{Name: "version", Kind: Number, Len: 1, Mask: 0xc0, Value: uint64(1), Form: Unsigned},
		{Name: "delivery", Kind: Number, Len: 1, Mask: 0x30, Value: uint64(b[0] >> 4 & 3), Note: coap.Type(b[0] >> 4 & 3).String(), Form: Unsigned},
		{Name: "option count", Kind: Number, Len: 1, Mask: 0x0f, Value: uint64(d.count), Form: Unsigned},
	}})
	w.codeField()
	w.number("message id", Number, 2, "")
	for i := range d.options {
		w.draftOption(&d.options[i])
	}
	if w.at < d.end {
		w.add(Field{Name: "end of options", Kind: Structure, Len: 1, Value: uint64(draftEnd), Form: Unsigned})
	}
	w.walk.payload("payload")
	p.Fields = w.fields
	return p
}

func (w *coapWalk) draftOption(o *draftOption) {
	name := o.name
	if name == "" {
		name = "fence post"
	}
	w.add(Field{Name: name + " length", Kind: Length, Len: o.header, Value: uint64(len(o.value)), Note: fmt.Sprintf("option %d", o.number)})
	f := Field{Name: name, Kind: Bytes, Len: len(o.value), Form: Raw}
	if o.text {
		f.Kind = Text
	}
	f.hold(o.value)
	w.add(f)
}
