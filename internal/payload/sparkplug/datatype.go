package sparkplug

import "strconv"

// dataType is what a value is (3.0, 6.4.16).
type dataType uint32

const (
	unknownType dataType = iota
	int8Type
	int16Type
	int32Type
	int64Type
	uint8Type
	uint16Type
	uint32Type
	uint64Type
	floatType
	doubleType
	booleanType
	stringType
	dateTimeType
	textType
	uuidType
	dataSetType
	bytesType
	fileType
	templateType
	propertySetType
	propertySetListType
	int8ArrayType
	int16ArrayType
	int32ArrayType
	int64ArrayType
	uint8ArrayType
	uint16ArrayType
	uint32ArrayType
	uint64ArrayType
	floatArrayType
	doubleArrayType
	booleanArrayType
	stringArrayType
	dateTimeArrayType
)

var typeNames = [...]string{
	"Unknown", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64",
	"Float", "Double", "Boolean", "String", "DateTime", "Text", "UUID", "DataSet", "Bytes",
	"File", "Template", "PropertySet", "PropertySetList", "Int8Array", "Int16Array",
	"Int32Array", "Int64Array", "UInt8Array", "UInt16Array", "UInt32Array", "UInt64Array",
	"FloatArray", "DoubleArray", "BooleanArray", "StringArray", "DateTimeArray",
}

func (t dataType) String() string {
	if int(t) < len(typeNames) {
		return typeNames[t]
	}
	return "data type " + strconv.FormatUint(uint64(t), 10)
}

// bits is the size of an integer, of which arrays have one after the other; 0 =
// no integer.
func (t dataType) bits() (bits int, signed bool) {
	switch t {
	case int8Type, int8ArrayType:
		return 8, true
	case int16Type, int16ArrayType:
		return 16, true
	case int32Type, int32ArrayType:
		return 32, true
	case int64Type, int64ArrayType:
		return 64, true
	case uint8Type, uint8ArrayType:
		return 8, false
	case uint16Type, uint16ArrayType:
		return 16, false
	case uint32Type, uint32ArrayType:
		return 32, false
	case uint64Type, uint64ArrayType, dateTimeType, dateTimeArrayType:
		return 64, false
	}
	return 0, false
}

func (t dataType) isArray() bool { return t >= int8ArrayType && t <= dateTimeArrayType }

// field is the member of a value's oneof.
type field uint8

const (
	noField field = iota
	intField
	longField
	floatField
	doubleField
	booleanField
	stringField
	bytesField
	dataSetField
	templateField
	propertySetField
	propertySetsField
	extensionField
)

var fieldNames = [...]string{
	"nothing", "int_value", "long_value", "float_value", "double_value", "boolean_value", "string_value",
	"bytes_value", "dataset_value", "template_value", "propertyset_value", "propertysets_value", "extension_value",
}

func (f field) String() string { return fieldNames[f] }

// slots are the field numbers that a message has for its value: the first one,
// and what they are from there on.
type slots struct {
	first  int
	fields []field
}

var (
	metricSlots = slots{10, []field{
		intField, longField, floatField, doubleField, booleanField, stringField,
		bytesField, dataSetField, templateField, extensionField,
	}}
	propertySlots = slots{3, []field{
		intField, longField, floatField, doubleField, booleanField, stringField,
		propertySetField, propertySetsField, extensionField,
	}}
	parameterSlots = slots{3, []field{
		intField, longField, floatField, doubleField, booleanField, stringField, extensionField,
	}}
	cellSlots = slots{1, []field{
		intField, longField, floatField, doubleField, booleanField, stringField, extensionField,
	}}
)
