import pgtrigger.compiler
import pgtrigger.migrations
from django.db import migrations


class Migration(migrations.Migration):
    """``updated_at`` of products changes with each change, whoever makes it."""

    dependencies = [("inventory", "0027_read_by_type_and_warehouse")]

    operations = [
        pgtrigger.migrations.AddTrigger(
            model_name="product",
            trigger=pgtrigger.compiler.Trigger(
                name="updated_at_rises",
                sql=pgtrigger.compiler.UpsertTriggerSql(
                    func=(
                        "\n"
                        "            IF ROW(OLD.sku, OLD.name, OLD.parent_id, OLD.barcode, "
                        "OLD.is_active, OLD.listing_expires_at, OLD.max_units_per_customer, "
                        "OLD.frozen_at, OLD.frozen_until, OLD.freeze_reason) IS DISTINCT FROM "
                        "ROW(NEW.sku, NEW.name, NEW.parent_id, NEW.barcode, NEW.is_active, "
                        "NEW.listing_expires_at, NEW.max_units_per_customer, NEW.frozen_at, "
                        "NEW.frozen_until, NEW.freeze_reason) THEN\n"
                        "                NEW.updated_at = GREATEST(NEW.updated_at, clock_timestamp());\n"
                        "            END IF;\n"
                        "            RETURN NEW;\n"
                        "        "
                    ),
                    hash="f0b5d98cad112fe8c355509b42b74a6d288b65ac",
                    operation="UPDATE",
                    pgid="pgtrigger_updated_at_rises_b74e3",
                    table="inventory_product",
                    when="BEFORE",
                ),
            ),
        ),
    ]
