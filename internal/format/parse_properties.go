package format

import (
	"encoding/base64"
	"errors"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// properties reads the properties of a record.
func (p *recordParser) properties() error {
	if p.b[p.i] != '{' {
		return p.errorf(p.i, "must be an object")
	}
	return p.members(p.property)
}

func (p *recordParser) property(name string, at int) error {
	switch name {
	case "user-properties":
		return p.userProperties()
	case "subscription-identifiers":
		if p.b[p.i] != '[' {
			return p.errorf(p.i, "%s: must be a list of numbers", name)
		}
		return p.elements(func() error { return p.oneProperty(mqtt.PropSubscriptionIdentifier, at) })
	}
	id, ok := mqtt.PropertyByName(name)
	if !ok || !id.AllowedIn(mqtt.In(mqtt.TypePublish)) || id.Wire() == mqtt.WirePair {
		return p.errorf(at, "%q is no property of a message", name)
	}
	if p.r.Properties.Has(id) && id != mqtt.PropSubscriptionIdentifier {
		return p.errorf(at, "%s is there twice", name)
	}
	return p.oneProperty(id, at)
}

// oneProperty reads the value of a property.
func (p *recordParser) oneProperty(id mqtt.PropertyID, at int) (err error) {
	q := mqtt.Property{ID: id}
	switch id.Wire() {
	case mqtt.WireString, mqtt.WireBytes:
		if q.Bytes, err = p.octets(id.Wire() == mqtt.WireBytes); err == nil && len(q.Bytes) > mqtt.MaxFieldBytes {
			err = p.errorf(at, "%s: more than %d bytes", id, mqtt.MaxFieldBytes)
		}
	default:
		var n uint64
		n, err = p.number(propertyLimits[id.Wire()])
		q.Num = uint32(n)
	}
	if err != nil {
		return p.about(id, err)
	}
	one := mqtt.Properties(nil).Append(q)
	if one.Validate(mqtt.In(mqtt.TypePublish), &mqtt.Options{Version: mqtt.V5, EitherSide: true}) != nil {
		return p.errorf(at, "%s: MQTT 5.0 has no such value", id)
	}
	p.r.Properties = append(p.r.Properties, one...)
	return nil
}

// about says of which property err is.
func (p *recordParser) about(id mqtt.PropertyID, err error) error {
	if e := (*RecordError)(nil); errors.As(err, &e) {
		return p.errorf(e.Offset, "%s: %s", id, e.Reason)
	}
	return err
}

// propertyLimits are the greatest values of numbers.
var propertyLimits = [...]uint64{
	mqtt.WireByte:   0xFF,
	mqtt.WireUint16: 0xFFFF,
	mqtt.WireUint32: 0xFFFFFFFF,
	mqtt.WireVarint: mqtt.MaxRemaining,
}

// octets reads a string, or where binary is set also an object of encoding and data.
func (p *recordParser) octets(binary bool) ([]byte, error) {
	if !binary || p.b[p.i] != '{' {
		s, err := p.text()
		return []byte(s), err
	}
	start, encoding, data, at := p.i, "text", "", -1
	err := p.members(func(name string, _ int) (err error) {
		switch name {
		case "encoding":
			encoding, err = p.text()
		case "data":
			at = p.i
			data, err = p.text()
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case at < 0:
		return nil, p.errorf(start, "no data in it")
	case encoding == "text":
		return []byte(data), nil
	case encoding != "base64":
		return nil, p.errorf(start, `encoding %q: must be "text" or "base64"`, encoding)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(data)
	if err != nil {
		return nil, p.errorf(at, "not base64: %v", err)
	}
	return b, nil
}

// userProperties reads a list of objects of name and value, or an object whose
// members are user properties. A list may hold objects of one member, too, as
// mosquitto_sub writes it.
func (p *recordParser) userProperties() error {
	each := func(name string, _ int) error {
		at := p.i
		value, err := p.text()
		if err != nil {
			return p.about(mqtt.PropUserProperty, err)
		}
		return p.userProperty(name, value, at)
	}
	switch p.b[p.i] {
	case '{':
		return p.members(each)
	case '[':
		return p.elements(func() error { return p.userElement(each) })
	}
	return p.errorf(p.i, "user-properties must be a list of objects of name and value")
}

func (p *recordParser) userElement(each func(string, int) error) error {
	if p.b[p.i] != '{' {
		return p.errorf(p.i, "user-properties must be a list of objects of name and value")
	}
	start, n := p.i, 0
	var name, value *string
	err := p.members(func(key string, _ int) error {
		n++
		s, err := p.text()
		if err != nil {
			return p.about(mqtt.PropUserProperty, err)
		}
		switch key {
		case "name":
			name = &s
		case "value":
			value = &s
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case name != nil && value != nil:
		return p.userProperty(*name, *value, start)
	case n == 1:
		p.i = start
		return p.members(each)
	}
	return p.errorf(start, "a user property is an object of name and value")
}

func (p *recordParser) userProperty(name, value string, at int) error {
	if max(len(name), len(value)) > mqtt.MaxFieldBytes {
		return p.errorf(at, "user-property: more than %d bytes", mqtt.MaxFieldBytes)
	}
	one := mqtt.Properties(nil).AppendUserProperty(name, value)
	if one.Validate(mqtt.In(mqtt.TypePublish), &mqtt.Options{Version: mqtt.V5}) != nil {
		return p.errorf(at, "user-property: MQTT 5.0 has no such value")
	}
	p.r.Properties = append(p.r.Properties, one...)
	return nil
}
