"""Versions of products, warehouses and stores, which rise with each change, whoever makes it."""

import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("inventory", "0017_bookings_without_reference"),
    ]

    operations = [
        migrations.AddField(
            model_name="product",
            name="version",
            field=models.BigIntegerField(db_default=1, default=1, editable=False),
        ),
        migrations.AddField(
            model_name="store",
            name="version",
            field=models.BigIntegerField(db_default=1, default=1, editable=False),
        ),
        migrations.AddField(
            model_name="warehouse",
            name="version",
            field=models.BigIntegerField(db_default=1, default=1, editable=False),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="product",
            trigger=pgtrigger.compiler.Trigger(
                name="version_rises",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func=(
                        "\n"
                        "            IF ROW(OLD.sku, OLD.name, OLD.parent_id, OLD.barcode, "
                        "OLD.is_active, OLD.listing_expires_at, OLD.max_units_per_customer) IS "
                        "DISTINCT FROM ROW(NEW.sku, NEW.name, NEW.parent_id, NEW.barcode, "
                        "NEW.is_active, NEW.listing_expires_at, NEW.max_units_per_customer) "
                        "THEN\n"
                        "                NEW.version = OLD.version + 1;\n"
                        "            ELSE\n"
                        "                NEW.version = GREATEST(OLD.version, NEW.version);\n"
                        "            END IF;\n"
                        "            RETURN NEW;\n"
                        "        "
                    ),
                    hash="74de6b07f6f3cc1f49ed48f6a006f2edd11e12ba",
                    operation="UPDATE",
                    pgid="pgtrigger_version_rises_d6937",
                    table="inventory_product",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="store",
            trigger=pgtrigger.compiler.Trigger(
                name="version_rises",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func=(
                        "\n"
                        "            IF ROW(OLD.name, OLD.ttl_minutes, OLD.is_default, "
                        "OLD.max_units_per_customer, OLD.max_holds_per_customer, "
                        "OLD.hold_window_minutes) IS DISTINCT FROM ROW(NEW.name, "
                        "NEW.ttl_minutes, NEW.is_default, NEW.max_units_per_customer, "
                        "NEW.max_holds_per_customer, NEW.hold_window_minutes) THEN\n"
                        "                NEW.version = OLD.version + 1;\n"
                        "            ELSE\n"
                        "                NEW.version = GREATEST(OLD.version, NEW.version);\n"
                        "            END IF;\n"
                        "            RETURN NEW;\n"
                        "        "
                    ),
                    hash="d2b801b933bdf433d34e7822ab5f250256108eeb",
                    operation="UPDATE",
                    pgid="pgtrigger_version_rises_262f9",
                    table="inventory_store",
                    when="BEFORE",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="storewarehouse",
            trigger=pgtrigger.compiler.Trigger(
                name="store_version_rises",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func=(
                        "\n"
                        "                    UPDATE inventory_store SET version = version + 1 "
                        "WHERE id IN (OLD.store_id, NEW.store_id);\n"
                        "                    RETURN NULL;\n"
                        "                "
                    ),
                    hash="db0da55164939af9cd2e379a8a5c35b84682264f",
                    operation="INSERT OR UPDATE OR DELETE",
                    pgid="pgtrigger_store_version_rises_d3ded",
                    table="inventory_storewarehouse",
                    when="AFTER",
                ),
            ),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name="warehouse",
            trigger=pgtrigger.compiler.Trigger(
                name="version_rises",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func=(
                        "\n"
                        "            IF ROW(OLD.name, OLD.type, OLD.address, OLD.contact_info, "
                        "OLD.capabilities, OLD.is_active) IS DISTINCT FROM ROW(NEW.name, "
                        "NEW.type, NEW.address, NEW.contact_info, NEW.capabilities, "
                        "NEW.is_active) THEN\n"
                        "                NEW.version = OLD.version + 1;\n"
                        "            ELSE\n"
                        "                NEW.version = GREATEST(OLD.version, NEW.version);\n"
                        "            END IF;\n"
                        "            RETURN NEW;\n"
                        "        "
                    ),
                    hash="6497042d9d1645f72bc35ca934b45a1bf54078a4",
                    operation="UPDATE",
                    pgid="pgtrigger_version_rises_9b8e7",
                    table="inventory_warehouse",
                    when="BEFORE",
                ),
            ),
        ),
    ]
