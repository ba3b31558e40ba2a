"""What callers send and get."""

from typing import Any

from django.utils import timezone
from rest_framework import serializers

from benchmarks.plain.models import Reservation, ReservationItem, StockLevel
from benchmarks.plain.services import CRITICAL_SHARE, SALES_DAYS


class LineSerializer(serializers.Serializer[Any]):
    """A line to hold or to ask about."""

    product_id = serializers.IntegerField(min_value=1)
    quantity = serializers.IntegerField(min_value=1, max_value=1_000_000)


class ReserveSerializer(serializers.Serializer[Any]):
    """Hold every line, or none."""

    cart_id = serializers.CharField(max_length=64)
    items = LineSerializer(many=True, allow_empty=False)
    timeout_minutes = serializers.IntegerField(min_value=1, max_value=60, default=15)


class BasketSerializer(serializers.Serializer[Any]):
    """Hold exactly this for a cart."""

    items = LineSerializer(many=True, allow_empty=False)
    timeout_minutes = serializers.IntegerField(min_value=1, max_value=60, default=15)


class CheckSerializer(serializers.Serializer[Any]):
    """What is available?"""

    items = LineSerializer(many=True, allow_empty=False)


class ExtendSerializer(serializers.Serializer[Any]):
    """Give a hold more time."""

    reservation_id = serializers.IntegerField()
    minutes = serializers.IntegerField(min_value=1, max_value=15, default=15)


class ReleaseSerializer(serializers.Serializer[Any]):
    """Give stock back."""

    reservation_id = serializers.IntegerField()
    reason = serializers.CharField(max_length=500, default="", allow_blank=True)


class ConsumeSerializer(serializers.Serializer[Any]):
    """Turn a hold into a sale."""

    reservation_id = serializers.IntegerField()
    order_id = serializers.CharField(max_length=64)


class AdjustmentSerializer(serializers.Serializer[Any]):
    """One change of on hand."""

    product_id = serializers.IntegerField(min_value=1)
    quantity = serializers.IntegerField(min_value=-1_000_000, max_value=1_000_000)
    type = serializers.ChoiceField(choices=["RECEIPT", "SHIPMENT", "ADJUSTMENT", "RETURN"])
    reason = serializers.CharField(max_length=500)


class AdjustSerializer(serializers.Serializer[Any]):
    """All lines, or none."""

    adjustments = AdjustmentSerializer(many=True, allow_empty=False)


class ReservationItemSerializer(serializers.ModelSerializer[ReservationItem]):
    """A line that is held."""

    product_id = serializers.IntegerField(source="level.product_id")

    class Meta:
        model = ReservationItem
        fields = ["product_id", "quantity"]


class ReservationSerializer(serializers.ModelSerializer[Reservation]):
    """A hold."""

    items = ReservationItemSerializer(many=True)

    class Meta:
        model = Reservation
        fields = ["id", "status", "cart_id", "order_id", "created_at", "expires_at", "items"]


class StoredItemSerializer(ReservationItemSerializer):
    """A line that is or was held, with its warehouse."""

    warehouse = serializers.CharField(source="level.warehouse.code")

    class Meta:
        model = ReservationItem
        fields = ["product_id", "quantity", "warehouse"]


class StoredReservationSerializer(serializers.ModelSerializer[Reservation]):
    """A hold as it is read: all of it."""

    items = StoredItemSerializer(many=True)
    expires_in_seconds = serializers.SerializerMethodField()

    class Meta:
        model = Reservation
        fields = [
            "id",
            "status",
            "cart_id",
            "order_id",
            "created_at",
            "expires_at",
            "expires_in_seconds",
            "extended_at",
            "closed_at",
            "reason",
            "items",
        ]

    def get_expires_in_seconds(self, reservation: Reservation) -> int:
        return max(0, int((reservation.expires_at - timezone.now()).total_seconds()))


class LevelSerializer(serializers.ModelSerializer[StockLevel]):
    """A product's stock in one warehouse, read with what is on its way."""

    warehouse = serializers.CharField(source="warehouse.code")
    warehouse_name = serializers.CharField(source="warehouse.name")
    available = serializers.IntegerField()
    incoming = serializers.IntegerField()

    class Meta:
        model = StockLevel
        fields = [
            "warehouse",
            "warehouse_name",
            "on_hand",
            "reserved",
            "available",
            "incoming",
            "reorder_point",
            "reorder_quantity",
            "updated_at",
        ]


class LowStockSerializer(serializers.ModelSerializer[StockLevel]):
    """A level that is low, read with its sales."""

    sku = serializers.CharField(source="product.sku")
    name = serializers.CharField(source="product.name")
    warehouse = serializers.CharField(source="warehouse.code")
    current_stock = serializers.IntegerField(source="free")
    percentage_remaining = serializers.SerializerMethodField()
    days_of_supply = serializers.SerializerMethodField()
    suggested_order_quantity = serializers.IntegerField(source="reorder_quantity")
    status = serializers.SerializerMethodField()

    class Meta:
        model = StockLevel
        fields = [
            "product_id",
            "sku",
            "name",
            "warehouse",
            "current_stock",
            "reorder_point",
            "percentage_remaining",
            "days_of_supply",
            "suggested_order_quantity",
            "status",
        ]

    def get_percentage_remaining(self, level: Any) -> float:
        return round(level.free / level.reorder_point * 100, 1)

    def get_days_of_supply(self, level: Any) -> float | None:
        return round(level.free * SALES_DAYS / -level.sold, 1) if level.sold else None

    def get_status(self, level: Any) -> str:
        return "CRITICAL" if level.share <= CRITICAL_SHARE else "LOW"
