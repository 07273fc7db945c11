package lwm2m

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// clauseJSON is where SenML in JSON is laid down.
const clauseJSON = "RFC 8428 §5"

// ParseSenMLJSON reads a pack: an array of objects. With a *Malformed it returns
// the records before it.
func ParseSenMLJSON(b []byte) ([]Record, error) {
	p := jsonReader{b: b, dec: json.NewDecoder(bytes.NewReader(b))}
	p.dec.UseNumber()
	records, err := p.pack()
	if err != nil {
		return records, p.malformed(err)
	}
	if rest := bytes.TrimLeft(b[p.dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return records, &Malformed{Offset: len(b) - len(rest), Clause: clauseJSON, Reason: fmt.Sprintf("%d bytes after the pack", len(rest))}
	}
	return records, nil
}

type jsonReader struct {
	b   []byte
	dec *json.Decoder
}

var errPack = errors.New("not an array of objects")

// malformed says where err is.
func (p *jsonReader) malformed(err error) *Malformed {
	m := &Malformed{Offset: min(int(p.dec.InputOffset()), len(p.b)), Clause: clauseJSON, Reason: err.Error()}
	if bad := (*json.SyntaxError)(nil); errors.As(err, &bad) {
		m.Offset = min(max(int(bad.Offset)-1, 0), len(p.b))
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		m.Offset, m.Reason = len(p.b), "the text ends early"
	}
	return m
}

func (p *jsonReader) open(d json.Delim) error {
	t, err := p.dec.Token()
	if err == nil && t != d {
		return errPack
	}
	return err
}

// next is where what comes next begins: behind blanks, commas and colons.
func (p *jsonReader) next() int {
	at := int(p.dec.InputOffset())
	for at < len(p.b) && bytes.IndexByte([]byte(" \t\r\n,:"), p.b[at]) >= 0 {
		at++
	}
	return at
}

func (p *jsonReader) pack() (records []Record, err error) {
	if err := p.open('['); err != nil {
		return nil, err
	}
	for p.dec.More() {
		r := Record{Off: p.next()}
		if err := p.open('{'); err != nil {
			return records, err
		}
		for p.dec.More() {
			pair, err := p.pair()
			if err != nil {
				return records, err
			}
			r.Pairs = append(r.Pairs, pair)
		}
		if _, err := p.dec.Token(); err != nil {
			return records, err
		}
		r.Len = int(p.dec.InputOffset()) - r.Off
		records = append(records, r)
	}
	_, err = p.dec.Token()
	return records, err
}

func (p *jsonReader) pair() (pair Pair, err error) {
	pair.Off = p.next()
	key, err := p.dec.Token()
	if err != nil {
		return pair, err
	}
	pair.Label, _ = key.(string)
	pair.ValueOff = p.next()
	var raw json.RawMessage
	if err := p.dec.Decode(&raw); err != nil {
		return pair, err
	}
	pair.Len = int(p.dec.InputOffset()) - pair.Off
	return pair, pair.scalar(raw)
}

// scalar reads the value; null, an array or an object stays nil.
func (p *Pair) scalar(raw []byte) error {
	switch raw[0] {
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
		p.Value = s
	case 't', 'f':
		p.Value = raw[0] == 't'
	case 'n', '[', '{':
	default:
		if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil {
			p.Value = n
			return nil
		}
		n, err := strconv.ParseFloat(string(raw), 64)
		if err != nil {
			return fmt.Errorf("number %s is too large", raw[:min(len(raw), 20)])
		}
		p.Value = n
	}
	return nil
}
