package dissect

import "github.com/iotctl/iotctl/internal/codec/mqttsn"

// snLayout has the fields behind the header of each type of 1.2, then of 2.0.
func snLayout(t mqttsn.Type) []snPart {
	switch t {
	case mqttsn.TypeAdvertise, mqttsn.TypeAdvertiseV2:
		return []snPart{snGateway, snNumber("duration", 2, "s until the next one")}
	case mqttsn.TypeSearchGW:
		return []snPart{snNumber("radius", 1, "hops, 0 for all")}
	case mqttsn.TypeGWInfo, mqttsn.TypeGWInfoV2:
		return []snPart{snGateway, snAddress}
	case mqttsn.TypeConnect:
		return []snPart{snFlags(snWill, snClean), snNumber("protocol identifier", 1, ""), snKeepAlive, snText("client identifier")}
	case mqttsn.TypeConnack, mqttsn.TypeWillTopicResp, mqttsn.TypeWillMsgResp:
		return []snPart{snCode}
	case mqttsn.TypeWillTopic, mqttsn.TypeWillTopicUpd:
		return []snPart{snOptional(snFlags(snQoS, snRetain)), snText("will topic")}
	case mqttsn.TypeWillMsg, mqttsn.TypeWillMsgUpd:
		return []snPart{snRest("will payload")}
	case mqttsn.TypeRegister:
		return []snPart{snTopicID, snMsgID, snText("topic")}
	case mqttsn.TypeRegack, mqttsn.TypePuback:
		return []snPart{snTopicID, snMsgID, snCode}
	case mqttsn.TypePublish:
		return []snPart{snFlags(snDup, snQoS, snRetain, snKind), snPublishTopic, snMsgID, snPayload}
	case mqttsn.TypePubcomp, mqttsn.TypePubrec, mqttsn.TypePubrel, mqttsn.TypeUnsuback:
		return []snPart{snMsgID}
	case mqttsn.TypeSubscribe:
		return []snPart{snFlags(snDup, snQoS, snKind), snMsgID, snFilter}
	case mqttsn.TypeSuback:
		return []snPart{snFlags(snQoS), snTopicID, snMsgID, snCode}
	case mqttsn.TypeUnsubscribe:
		return []snPart{snFlags(snKind), snMsgID, snFilter}
	case mqttsn.TypePingreq:
		return []snPart{snText("client identifier")}
	case mqttsn.TypeDisconnect:
		return []snPart{snOptional(snNumber("duration", 2, "s of sleep"))}
	case mqttsn.TypeEncapsulated:
		return []snPart{snControl, snNodeID}
	}
	return snDraftLayout(t)
}

func snDraftLayout(t mqttsn.Type) []snPart {
	reason := snOptional(snReason)
	switch t {
	case mqttsn.TypeConnectV2:
		return []snPart{snDraftConnect}
	case mqttsn.TypeConnackV2:
		return []snPart{
			snFlags(snBit{"authentication", 8}, snBit{"server keep alive", 4}, snBit{"session expiry", 2}, snBit{"session present", 1}),
			snPacketID, snReason, snIf(2, snExpiry), snIf(4, snKeepAlive), snIf(8, snAuth), snText("client identifier"),
		}
	case mqttsn.TypeAuthV2:
		return []snPart{snPacketID, snReason, snPrefixed("authentication method", 1, Text), snRest(snAuthData)}
	case mqttsn.TypePublishV2:
		return []snPart{snFlags(snDup, snQoS, snRetain, snTopicKind), snIf(0x60, snPacketID), snDraftTopic, snRest("payload")}
	case mqttsn.TypePubwosV2:
		return []snPart{snFlags(snRetain, snTopicKind), snDraftTopic, snRest("payload")}
	case mqttsn.TypePubackV2, mqttsn.TypePubrecV2, mqttsn.TypePubrelV2, mqttsn.TypePubcompV2, mqttsn.TypeUnsubackV2:
		return []snPart{snPacketID, reason}
	case mqttsn.TypeSubscribeV2:
		return []snPart{
			snFlags(snBit{"no local", 0x80}, snQoS, snBit{"retain as published", 0x10}, snBit{"retain handling", 0x0c}, snTopicKind),
			snPacketID, snDraftFilter,
		}
	case mqttsn.TypeUnsubscribeV2:
		return []snPart{snFlags(snTopicKind), snPacketID, snDraftFilter}
	case mqttsn.TypeSubackV2, mqttsn.TypeRegackV2:
		return []snPart{snFlags(snBit{"topic alias", 4}, snTopicKind), snPacketID, snIf(4, snAlias), reason}
	case mqttsn.TypeRegisterV2:
		return []snPart{snFlags(snBit{"topic alias", 1}), snPacketID, snIf(1, snAlias), snText("topic")}
	case mqttsn.TypePingreqV2:
		return []snPart{snPacketID}
	case mqttsn.TypePingrespV2:
		return []snPart{snPacketID, snOptional(snNumber("messages remaining", 1, ""))}
	case mqttsn.TypeDisconnectV2:
		return []snPart{
			snFlags(snBit{"reason code", 4}, snBit{"session expiry", 2}, snBit{"packet identifier", 1}),
			snIf(1, snPacketID), snIf(2, snExpiry), snIf(4, snReason), snText("reason"),
		}
	case mqttsn.TypeSleepreqV2:
		return []snPart{snFlags(snBit{"keep aliases", 1}), snPacketID, snSleep}
	case mqttsn.TypeSleeprespV2:
		return []snPart{snFlags(snBit{"sleep duration", 1}), snPacketID, snIf(1, snSleep), reason}
	case mqttsn.TypeSearchGWV2:
		return []snPart{snRest("network")}
	case mqttsn.TypeForwardedV2:
		return []snPart{snPrefixed("address", 1, Bytes), snInner}
	case mqttsn.TypeRoamingV2:
		return []snPart{snPrefixed("client identifier", 2, Text), snInner}
	case mqttsn.TypeProtectedV2:
		return []snPart{snProtected}
	}
	return nil
}

// snAddress takes the address of a gateway, and says what it is over IP.
func snAddress(w *snWalk) {
	n := len(w.b) - w.at
	if n == 0 || w.ended {
		return
	}
	f := w.take("address", Bytes, n)
	if a := (mqttsn.GWInfo{Address: w.b[f.Off:]}).AddrPort(); a.IsValid() {
		f.Note = a.String()
	}
}
