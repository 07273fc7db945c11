package frame

import (
	"fmt"
)

// Reply appends what the definition answers to the decoded frame; false if
// that is nothing.
func (c *Codec) Reply(dst []byte, r *Record, env Env) ([]byte, bool, error) {
	return c.answer(dst, r, r.reply, env)
}

// Refuse appends what the definition answers when the device is not welcome;
// false if that is nothing.
func (c *Codec) Refuse(dst []byte, r *Record, env Env) ([]byte, bool, error) {
	return c.answer(dst, r, r.refuse, env)
}

func (c *Codec) answer(dst []byte, r *Record, t *template, env Env) ([]byte, bool, error) {
	if t == nil {
		return dst, false, nil
	}
	dst, err := t.build(dst, r.scalar, nil, env)
	if err != nil {
		return dst, false, fmt.Errorf("%s: %w", t.label, err)
	}
	return dst, true, nil
}

// scalar gives a template the value of a field, or the device id.
func (r *Record) scalar(p *part) (scalar, bool) {
	if p.kind == partDevice {
		id := r.DeviceID()
		return scalar{text: id, raw: id}, len(id) > 0
	}
	v := r.at(p.slot)
	if v == nil || v.Kind == Null && !p.raw {
		return scalar{}, false
	}
	if p.raw {
		return scalar{raw: r.rawBytes(v)}, !v.bits
	}
	if v.Kind == Array {
		s := scalar{isList: true}
		for i := int(r.slot[p.slot]); i < v.End; i = r.Values[i].End {
			s.list = append(s.list, r.one(&r.Values[i]))
		}
		return s, true
	}
	return r.one(v), true
}

// one is the value as it was read: before scale and map.
func (r *Record) one(v *Value) scalar {
	s := scalar{text: r.text(v)}
	s.raw = s.text
	switch {
	case v.Kind == Float && (v.def == nil || v.def.float || v.def.num == nil):
		s.number, s.float, s.n = true, true, v.num
	case !v.textual() && (v.Kind != JSON && v.Kind != Time):
		s.number, s.n = true, v.raw
		if v.Kind == Int {
			s.minus = int64(v.raw) < 0
		}
	}
	return s
}

// rawBytes are the bytes of a field in the frame.
func (r *Record) rawBytes(v *Value) []byte {
	if v.Len == 0 && len(v.Text) > 0 || v.Off+v.Len > len(r.frame.Data) {
		return v.Text
	}
	return r.frame.Data[v.Off : v.Off+v.Len]
}
