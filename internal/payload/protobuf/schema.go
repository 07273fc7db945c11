package protobuf

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/iotctl/iotctl/internal/spelling"
)

// schema is the types of some files. Messages are made when they are needed.
type schema struct {
	symbols map[string]symbol // by full name
	missing []string          // imports that were not found
	ours    []string          // messages of the file that was named
	made    map[string]*message
	enums   map[string]*enum
	// extensions by the full name of what they extend.
	extensions map[string][]extension
}

// symbol is the description of a message or of an enum.
type symbol struct {
	message  *descriptorpb.DescriptorProto
	enum     *descriptorpb.EnumDescriptorProto
	features features
}

type extension struct {
	scope    string
	field    *descriptorpb.FieldDescriptorProto
	features features
}

type message struct {
	name     string
	byNumber map[int]*field
	byName   map[string]*field // by name and by JSON name
	mapEntry bool
	required []*field
}

type field struct {
	name     string // as JSON has it: "maxTemp", "[acme.ext]"
	number   int
	kind     protoreflect.Kind
	repeated bool
	packed   bool
	oneof    string // "" = of none
	message  *message
	enum     *enum
}

type enum struct {
	name     string
	byNumber map[int32]string // the first name of several
	byName   map[string]int32
}

// features are the ones of editions that matter on the wire.
type features struct {
	expanded  bool // repeated numbers, unless packed
	delimited bool // messages are groups
}

func newSchema() *schema {
	return &schema{
		symbols: map[string]symbol{}, made: map[string]*message{}, enums: map[string]*enum{},
		extensions: map[string][]extension{},
	}
}

// add takes the types of a file.
func (s *schema) add(f *descriptorpb.FileDescriptorProto, named bool) {
	feat := features{expanded: f.GetSyntax() != "proto3" && f.GetSyntax() != "editions"}
	feat = feat.with(f.GetOptions().GetFeatures(), f.GetOptions().GetUninterpretedOption())
	for _, m := range f.GetMessageType() {
		s.addMessage(f.GetPackage(), m, feat, named)
	}
	for _, e := range f.GetEnumType() {
		s.symbols[join(f.GetPackage(), e.GetName())] = symbol{enum: e}
	}
	s.addExtensions(f.GetPackage(), f.GetExtension(), feat)
}

func (s *schema) addMessage(scope string, m *descriptorpb.DescriptorProto, feat features, named bool) {
	name := join(scope, m.GetName())
	if _, ok := s.symbols[name]; ok {
		return // the file was reached on two ways
	}
	feat = feat.with(m.GetOptions().GetFeatures(), m.GetOptions().GetUninterpretedOption())
	s.symbols[name] = symbol{message: m, features: feat}
	if named && !m.GetOptions().GetMapEntry() {
		s.ours = append(s.ours, name)
	}
	for _, inner := range m.GetNestedType() {
		s.addMessage(name, inner, feat, named)
	}
	for _, e := range m.GetEnumType() {
		s.symbols[join(name, e.GetName())] = symbol{enum: e}
	}
	s.addExtensions(name, m.GetExtension(), feat)
}

func (s *schema) addExtensions(scope string, fields []*descriptorpb.FieldDescriptorProto, feat features) {
	for _, f := range fields {
		of := strings.TrimPrefix(f.GetExtendee(), ".")
		s.extensions[of] = append(s.extensions[of], extension{scope, f, feat})
	}
}

func join(scope, name string) string {
	if scope == "" {
		return name
	}
	return scope + "." + name
}

// lookup finds a type as C++ does: the innermost scope first.
func (s *schema) lookup(scope, name string) (string, bool) {
	if full, absolute := strings.CutPrefix(name, "."); absolute {
		_, ok := s.symbols[full]
		return full, ok
	}
	for {
		full := join(scope, name)
		if _, ok := s.symbols[full]; ok {
			return full, true
		}
		if scope == "" {
			return name, false
		}
		scope = scope[:max(strings.LastIndexByte(scope, '.'), 0)]
	}
}

// find is the message of that name, which may lack its package.
func (s *schema) find(name string) (*message, error) {
	if name == "" {
		top := slices.DeleteFunc(slices.Clone(s.ours), s.nested)
		if len(top) != 1 {
			return nil, fmt.Errorf("say which message, as in :%s", some(s.ours))
		}
		name = top[0]
	}
	name = strings.TrimPrefix(name, ".")
	if sym, ok := s.symbols[name]; ok && sym.message != nil {
		return s.message(name)
	}
	var fits []string
	for full, sym := range s.symbols {
		if sym.message != nil && strings.HasSuffix(full, "."+name) {
			fits = append(fits, full)
		}
	}
	slices.Sort(fits)
	switch len(fits) {
	case 1:
		return s.message(fits[0])
	case 0:
		return nil, fmt.Errorf("there is no message %q: %s", name, s.near(name))
	}
	return nil, fmt.Errorf("message %q is one of %s", name, some(fits))
}

// nested reports whether a message stands within another.
func (s *schema) nested(name string) bool {
	i := strings.LastIndexByte(name, '.')
	return i >= 0 && s.symbols[name[:i]].message != nil
}

// near names the message most like name, or some that there are.
func (s *schema) near(name string) string {
	short := func(n string) string { return n[strings.LastIndexByte(n, '.')+1:] }
	full := map[string]string{}
	for _, n := range s.ours {
		full[short(n)] = n
	}
	if near, ok := spelling.Nearest(short(name), maps.Keys(full)); ok {
		return fmt.Sprintf("did you mean %s?", full[near])
	}
	return "there is " + some(s.ours)
}

func some(names []string) string {
	const most = 6
	if len(names) == 0 {
		return "none"
	}
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// message makes the message of that full name, and those that it refers to.
func (s *schema) message(name string) (*message, error) {
	if m, ok := s.made[name]; ok {
		return m, nil
	}
	sym, ok := s.symbols[name]
	if !ok || sym.message == nil {
		return nil, fmt.Errorf("there is no message %q", name)
	}
	m := &message{name: name, byNumber: map[int]*field{}, byName: map[string]*field{}, mapEntry: sym.message.GetOptions().GetMapEntry()}
	s.made[name] = m
	for _, f := range sym.message.GetField() {
		made, err := s.field(name, f, sym.features)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", name, f.GetName(), err)
		}
		if f.OneofIndex != nil && !f.GetProto3Optional() && int(f.GetOneofIndex()) < len(sym.message.GetOneofDecl()) {
			made.oneof = sym.message.GetOneofDecl()[f.GetOneofIndex()].GetName()
		}
		m.add(made, f)
	}
	for of, list := range s.extensions {
		for _, x := range list {
			if full, ok := s.lookup(x.scope, of); !ok || full != name {
				continue
			}
			made, err := s.field(x.scope, x.field, x.features)
			if err != nil {
				return nil, fmt.Errorf("extension %s: %w", join(x.scope, x.field.GetName()), err)
			}
			made.name = "[" + join(x.scope, x.field.GetName()) + "]"
			m.add(made, nil)
		}
	}
	return m, nil
}

func (m *message) add(f *field, from *descriptorpb.FieldDescriptorProto) {
	m.byNumber[f.number] = f
	m.byName[f.name] = f
	if from != nil {
		if _, ok := m.byName[from.GetName()]; !ok {
			m.byName[from.GetName()] = f
		}
		if from.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REQUIRED {
			m.required = append(m.required, f)
		}
	}
}

func (s *schema) field(scope string, f *descriptorpb.FieldDescriptorProto, feat features) (*field, error) {
	options := f.GetOptions()
	feat = feat.with(options.GetFeatures(), options.GetUninterpretedOption())
	made := &field{
		name: f.GetJsonName(), number: int(f.GetNumber()), kind: protoreflect.Kind(f.GetType()),
		repeated: f.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REPEATED,
		packed:   !feat.expanded,
	}
	if made.name == "" {
		made.name = camel(f.GetName())
	}
	if options != nil && options.Packed != nil {
		made.packed = options.GetPacked()
	}
	for _, o := range options.GetUninterpretedOption() {
		switch optionName(o) {
		case "packed":
			made.packed = o.GetIdentifierValue() == "true"
		case "json_name":
			made.name = string(o.GetStringValue())
		}
	}
	if f.GetTypeName() == "" {
		return made, nil
	}
	name, ok := s.lookup(scope, f.GetTypeName())
	if !ok {
		return nil, s.unresolved(f.GetTypeName())
	}
	if e := s.symbols[name].enum; e != nil {
		made.kind, made.enum = protoreflect.EnumKind, s.enum(name, e)
		return made, nil
	}
	if made.kind != protoreflect.GroupKind {
		made.kind = protoreflect.MessageKind
	}
	var err error
	made.message, err = s.message(name)
	if err == nil && feat.delimited && !made.message.mapEntry {
		made.kind = protoreflect.GroupKind
	}
	return made, err
}

func (s *schema) unresolved(name string) error {
	if len(s.missing) > 0 {
		return fmt.Errorf("there is no type %q; not found are the imports %s: name their directory behind the message", name, some(s.missing))
	}
	return fmt.Errorf("there is no type %q", name)
}

func (s *schema) enum(name string, from *descriptorpb.EnumDescriptorProto) *enum {
	if e, ok := s.enums[name]; ok {
		return e
	}
	e := &enum{name: name, byNumber: map[int32]string{}, byName: map[string]int32{}}
	for _, v := range from.GetValue() {
		if _, ok := e.byNumber[v.GetNumber()]; !ok {
			e.byNumber[v.GetNumber()] = v.GetName()
		}
		e.byName[v.GetName()] = v.GetNumber()
	}
	s.enums[name] = e
	return e
}

// with applies what the options of a file, a message or a field say: read by
// protoc, or as they stand in the source.
func (f features) with(set *descriptorpb.FeatureSet, source []*descriptorpb.UninterpretedOption) features {
	if set != nil {
		f.apply("repeated_field_encoding", set.GetRepeatedFieldEncoding().String())
		f.apply("message_encoding", set.GetMessageEncoding().String())
	}
	for _, o := range source {
		name := optionName(o)
		if name == "features" {
			for _, feature := range []string{"repeated_field_encoding", "message_encoding"} {
				if _, value, ok := strings.Cut(o.GetAggregateValue(), feature); ok {
					f.apply(feature, strings.TrimLeft(value, " :"))
				}
			}
		}
		if feature, ok := strings.CutPrefix(name, "features."); ok {
			f.apply(feature, o.GetIdentifierValue())
		}
	}
	return f
}

func (f *features) apply(feature, value string) {
	switch {
	case feature == "repeated_field_encoding" && strings.HasPrefix(value, "EXPANDED"):
		f.expanded = true
	case feature == "repeated_field_encoding" && strings.HasPrefix(value, "PACKED"):
		f.expanded = false
	case feature == "message_encoding" && strings.HasPrefix(value, "DELIMITED"):
		f.delimited = true
	case feature == "message_encoding" && strings.HasPrefix(value, "LENGTH_PREFIXED"):
		f.delimited = false
	}
}

func optionName(o *descriptorpb.UninterpretedOption) string {
	var parts []string
	for _, p := range o.GetName() {
		parts = append(parts, p.GetNamePart())
	}
	return strings.Join(parts, ".")
}

// camel is the JSON name of a field.
func camel(s string) string {
	var b strings.Builder
	up := false
	for _, c := range []byte(s) {
		switch {
		case c == '_':
			up = true
			continue
		case up && 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		}
		up = false
		b.WriteByte(c)
	}
	return b.String()
}
