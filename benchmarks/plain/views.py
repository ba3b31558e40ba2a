"""The routes: validate, one call, serialize."""

from typing import Any

from django.db.models import Count, Q, prefetch_related_objects
from django.http import Http404
from django.shortcuts import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from benchmarks.plain import serializers, services
from benchmarks.plain.models import Product, Reservation

PAGE_SIZE = 50


def validated(serializer: type[Serializer[Any]], request: Request) -> dict[str, Any]:
    """The request's body, checked."""
    bound = serializer(data=request.data)
    bound.is_valid(raise_exception=True)
    checked: dict[str, Any] = bound.validated_data
    return checked


def answer(reservation: Reservation, status: int = 200) -> Response:
    """A reservation as a response, its items and their levels read together."""
    prefetch_related_objects([reservation], "items__level")
    return Response(serializers.ReservationSerializer(reservation).data, status=status)


class ReserveView(APIView):
    """Hold stock."""

    def post(self, request: Request) -> Response:
        body = validated(serializers.ReserveSerializer, request)
        held = services.reserve(body["cart_id"], body["items"], body["timeout_minutes"], str(request.user))
        return answer(held, 201)


class ExtendView(APIView):
    """Give a hold more time."""

    def post(self, request: Request) -> Response:
        body = validated(serializers.ExtendSerializer, request)
        return answer(services.extend(body["reservation_id"], body["minutes"], str(request.user)))


class ReleaseView(APIView):
    """Give stock back."""

    def post(self, request: Request) -> Response:
        body = validated(serializers.ReleaseSerializer, request)
        return answer(services.release(body["reservation_id"], body["reason"], str(request.user)))


class ConsumeView(APIView):
    """Turn a hold into a sale."""

    def post(self, request: Request) -> Response:
        body = validated(serializers.ConsumeSerializer, request)
        return answer(services.consume(body["reservation_id"], body["order_id"], str(request.user)))


class CheckAvailabilityView(APIView):
    """What is available."""

    def post(self, request: Request) -> Response:
        lines = services.check(validated(serializers.CheckSerializer, request)["items"])
        return Response({"available": all(line["is_available"] for line in lines), "items": lines})


class AdjustView(APIView):
    """Change on hand."""

    def put(self, request: Request) -> Response:
        body = validated(serializers.AdjustSerializer, request)
        return Response({"adjustments": services.adjust(body["adjustments"], str(request.user))})


class ProductView(APIView):
    """The stock of a product."""

    def get(self, request: Request, product_id: int) -> Response:
        product = get_object_or_404(Product, pk=product_id)
        levels = list(services.levels_of(product_id))
        return Response(
            {
                "product_id": product.pk,
                "total_quantity": sum(level.on_hand for level in levels),
                "total_available": sum(level.available for level in levels),
                "total_reserved": sum(level.reserved for level in levels),
                "warehouses": serializers.LevelSerializer(levels, many=True).data,
                "movements": {"last_24_hours": services.moved_in_a_day(product_id)},
                "last_updated": max((level.updated_at for level in levels), default=None),
            }
        )


class ReservationView(APIView):
    """A reservation."""

    def get(self, request: Request, reservation_id: int) -> Response:
        found = get_object_or_404(services.reservations(), pk=reservation_id)
        return Response(serializers.StoredReservationSerializer(found).data)


class BasketView(APIView):
    """What a cart holds."""

    def get(self, request: Request, cart_id: str) -> Response:
        held = serializers.StoredReservationSerializer(services.active_of_cart(cart_id), many=True).data
        if not held:
            raise Http404
        only = held[0] if len(held) == 1 else {}
        return Response({"cart_id": cart_id, "status": "ACTIVE", "reservations": held, **only})

    def put(self, request: Request, cart_id: str) -> Response:
        body = validated(serializers.BasketSerializer, request)
        return answer(services.put_basket(cart_id, body["items"], body["timeout_minutes"], str(request.user)))


class LowStockView(APIView):
    """What is to be ordered."""

    def get(self, request: Request) -> Response:
        levels = services.low_stock()
        totals = levels.aggregate(total=Count("pk"), critical=Count("pk", filter=Q(share__lte=services.CRITICAL_SHARE)))
        page = services.with_sales(levels)[:PAGE_SIZE]
        return Response(
            {
                "items": serializers.LowStockSerializer(page, many=True).data,
                "total_items": totals["total"],
                "critical_items": totals["critical"],
                "low_items": totals["total"] - totals["critical"],
            }
        )
